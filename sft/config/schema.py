"""The sections of a config, their keys, types and defaults.

Checks that need one value are here; those that compare sections or read other packages are in `checks.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

JsonDict = dict[str, Any]

# Answers are short and scored right after the prompt, so models that can think are asked not to; dates stay put.
TEMPLATE_ARGS = {"enable_thinking": False, "date_string": "26 Jul 2024"}
TaskType = Literal["classification", "generation", "structured", "multilabel", "multiple_choice"]


def _label_text(value: Any) -> Any:
    """Labels are compared as text, so that `0` in a config names the value 0 of a column; true/false stay JSON's."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


LabelText = Annotated[str, BeforeValidator(_label_text)]
AtLeastOne = Field(min_length=1)
Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a config: unknown keys are refused, nothing is converted silently, values don't change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MethodConfig(Section):
    """A choice from a registry, with its arguments."""

    method: str = Field(description="Name in the registry.")
    args: JsonDict = Field(default_factory=dict, description="Arguments of the method.")


def _method_of_name(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


NEXT_TOKEN = "next_token"
"""The objective of trainings that name none."""


class DatasetConfig(Section):
    """Which rows a run learns from and is judged on."""

    path: str | list[str] | dict[str, str | list[str]] = Field(
        description="Hub id, `save_to_disk` folder, folder or file(s) of csv/tsv/json/jsonl/parquet; or a map from "
        "split to file(s). Relative to the working directory."
    )
    task_type: TaskType = Field(description="What kind of answer the output column holds.")
    shots: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Labelled training rows: per label for classification (multi-label: rows that hold it), in total "
        "for other tasks. 0 = zero-shot, null = all.",
    )
    max_n_test: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="Size of the test subset, the same rows for every seed; null = all."
    )
    labels: Annotated[list[LabelText], AtLeastOne] | Annotated[dict[str, str], AtLeastOne] | None = Field(
        default=None,
        description="Classification: the data-set values, or a map from value to verbalisation (the text that the "
        "model scores). Default: the values of the train split.",
    )
    label_separator: Annotated[str, Field(min_length=1)] = Field(
        default=",",
        description="Multi-label: what separates the labels where the output column holds a text, not a list.",
    )
    deduplicate: bool = Field(default=True, description="Drop training rows whose inputs also occur in the test split.")
    args: JsonDict = Field(
        default_factory=dict, description="Passed to `datasets.load_dataset` or `datasets.load_from_disk`."
    )


class QuantizationConfig(Section):
    """How the weights are quantised when loaded."""

    config_class: str = Field(description="Name of a transformers quantization config, e.g. `BitsAndBytesConfig`.")
    args: JsonDict = Field(
        default_factory=dict,
        description="Its arguments. `quant_type` of `TorchAoConfig` is the name of a config of torchao. For a "
        "checkpoint that is quantised already: how to load it, e.g. `backend`.",
    )


class ModelConfig(Section):
    """Which model answers."""

    name: str = Field(description="Hub id, local folder, or a folder written by `train`.")
    quantization: QuantizationConfig | None = None
    model_args: JsonDict = Field(
        default_factory=dict,
        description="Passed to `from_pretrained`; also `parallelize` (shard the weights over the visible GPUs, CPU and "
        "disk) and `no_split_module_classes`.",
    )
    chat_template_from: str | None = Field(
        default=None, description="Tokenizer (hub id or folder) or .jinja file whose chat template is borrowed."
    )


class LabelQuestionConfig(Section):
    """How a multi-label prompt asks whether a row has a label."""

    name: Annotated[str, Field(min_length=1)] = Field(
        default="label",
        description="What the label is called beside the input columns: `Label: joy` in a chat; {label} in a template.",
    )
    place: Literal["prompt", "answer"] | None = Field(
        default=None,
        description="Where the label stands: in the prompt, after the input columns; or at the beginning of the "
        "answer, as in `joy: yes`. null: in a chat in the answer, so that turns are read once for all labels; else in "
        "the prompt.",
    )
    yes: str = Field(default=" yes", description="The answer where the row has the label.")
    no: str = Field(default=" no", description="The answer where it hasn't.")


class PromptingConfig(Section):
    """How a row becomes a prompt."""

    instruction: str = Field(default="", description="What the model is told to do.")
    input_columns: Annotated[list[str], Field(min_length=1)] = Field(description="Columns that the model sees.")
    output_column: str = Field(
        default="",
        description="Column that holds the label, the reference text or (structured) the reference value, which may "
        "be written as JSON, or says which candidate is right. Required, but for structured answers with "
        "`output_columns`.",
    )
    output_columns: Annotated[list[str], AtLeastOne] | None = Field(
        default=None, description="Structured, in place of `output_column`: columns that together are one object."
    )
    output_schema: JsonDict | Annotated[list[str], AtLeastOne] | None = Field(
        default=None,
        description="Structured: the JSON Schema of answers; a list of names stands for an object of texts that may "
        "each be absent.",
    )
    candidate_columns: Annotated[list[str], AtLeastOne] | None = Field(
        default=None,
        description="Multiple choice: columns with one candidate each (a row may leave some empty), or one column that "
        "holds lists (docs/multiple-choice.md).",
    )
    max_input_length: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="Tokens kept of each input column, in in-context examples too."
    )
    max_output_length: Annotated[int, Field(gt=0)] | None = Field(
        default=None,
        description="Tokens kept of an output in training and in-context examples (generation; a class label is never "
        "cut). Also the default number of new tokens.",
    )
    format: Literal["auto", "chat", "plain"] = Field(
        default="auto", description="`auto`: chat where the tokenizer has a chat template, else plain."
    )
    template: str | None = Field(
        default=None,
        description="Plain format: text with {column} placeholders; the answer follows it verbatim. "
        "Default: one `Column: value` line per input column, then `Output column:`.",
    )
    label_question: LabelQuestionConfig | None = Field(
        default=None, description="Multi-label: how a label is asked about; null = by the defaults."
    )
    template_args: JsonDict = Field(
        default=TEMPLATE_ARGS,
        description="Passed to the chat template, alike in training and inference; added to the default's.",
    )
    icl_sampling: Literal["fixed", "per_prompt"] = Field(
        default="fixed", description="One list of in-context examples for the run, or a draw per prompt."
    )

    @field_validator("template_args")
    @classmethod
    def _pin_template_args(cls, value: JsonDict) -> JsonDict:
        return {**TEMPLATE_ARGS, **value}


class SelectConfig(Section):
    """Arguments of the training that are chosen by cross-validation inside the shots."""

    grid: Annotated[dict[str, Annotated[list[Any], AtLeastOne]], AtLeastOne] = Field(
        description="Names of `trainer_args` → the values to try, in every combination."
    )
    folds: Annotated[int, Field(ge=2)] = Field(
        default=5, description="Parts of the shots of which each is held out once; at most one per shot of a label."
    )
    metric: Literal["nll", "accuracy"] = Field(
        default="nll",
        description="Of the held-out shots: negative log-likelihood of the right label (generation: of the reference, "
        "per token; multi-label: of the answers about all labels), or accuracy.",
    )


class TrainingConfig(Section):
    """How the adapter is trained."""

    icl_examples: Annotated[int, Field(ge=0)] = Field(
        default=0, description="In-context examples in training prompts: per label for classification, else in total."
    )
    objective: Annotated[MethodConfig, BeforeValidator(_method_of_name)] = Field(
        default=MethodConfig(method=NEXT_TOKEN),
        description="What is minimised (docs/objectives.md): `next_token`, or for classification "
        "`label_cross_entropy` or `tfew`. A name, or {method: name, args: …}.",
    )
    trainer_args: JsonDict = Field(default_factory=dict, description="Arguments of TRL's `SFTConfig`.")
    batches: Literal["auto", "flat", "padded"] = Field(
        default="auto",
        description="`flat`: sequences one after the other, without padding; `padded`: TRL's. The loss is the same. "
        "`auto`: `flat` where a trial on two rows gives what each gives alone.",
    )
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="Whether elementwise parts of layers are compiled for training. `auto`: on a GPU, where the "
        "training is long enough.",
    )
    select: SelectConfig | None = None


class InferenceConfig(Section):
    """How answers are obtained from the model."""

    method: Literal["logits", "generate"] = Field(
        default="logits",
        description="Classification: by label log-probabilities (multi-label: of yes and no about each label), or "
        "parsed from generated text (multi-label: a list of labels, under a grammar; needs xgrammar).",
    )
    icl_examples: Annotated[int, Field(ge=0)] = Field(
        default=0, description="In-context examples in test prompts: per label for classification, else in total."
    )
    batch_size: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Prompts (with all their labels; for the scorer `naive`: sequences) per forward pass; `auto`: as "
        "many as fit into the free memory. Halved where memory runs out.",
    )
    max_seq_length: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="Limit of prompt plus answer in tokens; null = what the model allows."
    )
    generation_args: JsonDict = Field(
        default_factory=dict, description="Arguments of transformers' `GenerationConfig`; greedy by default."
    )
    decoder: Literal["auto", "continuous", "static"] = Field(
        default="auto",
        description="How texts are generated; all ways give the same texts. `auto`: `continuous` (a row that ends "
        "makes room for the next) where model and `generation_args` allow it, else `static` batches.",
    )
    scorer: Literal["auto", "tree", "cache", "cache_stepwise", "naive"] = Field(
        default="auto",
        description="How labels are scored; all ways give the same scores. `auto`: the fastest that agrees with "
        "`naive` on two prompts of the task.",
    )
    compile: bool | Literal["auto"] = Field(
        default="auto",
        description="Whether the model's layers are compiled for scoring. `auto`: on a GPU, when more than a minute of "
        "scoring is left.",
    )
    score_normalization: str = Field(
        default="none",
        description="What is done to label scores first: `none` (sum), `tokens`, `characters`, `bytes` (mean), `pmi`, "
        "`calibrated_tokens`.",
    )
    pmi_premise: str | None = Field(
        default=None,
        description="What `pmi` compares with: a text that is then the whole prompt; null = the prompt with empty "
        "inputs.",
    )
    calibration: MethodConfig | None = Field(
        default=None,
        description="What is done to them next: `contextual`, `domain`, `batch`, `batch_adjustable` or `temperature`.",
    )
    score_shots: bool = Field(
        default=False,
        description="Also score the shots, each by a model that hasn't seen its label, and store that for calibrations "
        "that use labels. Done anyway where `calibration` is one.",
    )
    folds: Annotated[int, Field(ge=2)] = Field(
        default=5,
        description="Adapters trained to score the shots of a run that trains, each without its part of them. (Also of "
        "the regressions that multi-label runs are compared with.)",
    )
    thresholds: Literal["auto"] | Probability | Annotated[dict[str, Probability], AtLeastOne] = Field(
        default="auto",
        description="Multi-label: the probability from which on a row has a label, for all labels or by name (0.5 for "
        "those not named). `auto`: chosen for each label on shots that the model wasn't trained on (`folds`); 0.5 "
        "where there are none.",
    )
    label_end: Literal["auto", "eot", "none"] = Field(
        default="auto",
        description="Whether the end-of-turn token is scored after a label. `auto`: with a chat template, or where "
        "one label is a prefix of another.",
    )
    constrained: bool | None = Field(
        default=None,
        description="Structured: whether nothing can be generated but what `prompting.output_schema` allows; null = "
        "true. Needs xgrammar.",
    )


class EvaluationConfig(Section):
    """Which numbers are computed. Arguments of the chosen metrics are further keys of this section."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    tokenizer_name: str | None = Field(
        default=None, description="Hugging Face tokenizer for metrics that split words (BLEU, ROUGE)."
    )
    metrics: list[str] | None = Field(
        default=None,
        description="Names of metrics; null = all of the task type. `evaluate:PATH`: a metric of the `evaluate` "
        "library by its local script, whose code is run (docs/metrics.md).",
    )

    @property
    def metric_args(self) -> JsonDict:
        extra = dict(self.model_extra or {})
        return extra if self.tokenizer_name is None else {"tokenizer_name": self.tokenizer_name, **extra}


class ResourcesConfig(Section):
    """What one run of a sweep needs of a machine. No result depends on it."""

    gpus: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="GPUs; null = one where there are any, all for a model that is spread over devices."
    )
    cpus: Annotated[int, Field(ge=1)] = Field(default=1, description="CPU cores (for Ray).")
    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Memory of the machine in 10^9 bytes (for Ray); null = as it comes."
    )


class ExperimentConfig(Section):
    """One experiment. Each command needs only some sections; `config show` prints all with their defaults."""

    dataset: DatasetConfig
    model: ModelConfig
    prompting: PromptingConfig
    lora: JsonDict | None = Field(default=None, description="Arguments of PEFT's `LoraConfig`.")
    adapter: MethodConfig | None = Field(
        default=None,
        description="What is trained (docs/adapters.md). `lora` is the short form of {method: 'lora', args: …}.",
    )
    training: TrainingConfig | None = None
    inference: InferenceConfig | None = None
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    resources: ResourcesConfig = Field(default_factory=ResourcesConfig)
    seed: Annotated[int, Field(ge=0)] = Field(default=13, description="The flag --random-seed overrides it.")
    data_seed: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Chooses the shots; null = `seed`.")
    icl_seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Chooses and orders in-context examples; null = `seed`."
    )
    train_seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Initialises and shuffles training; null = `seed`."
    )

    @property
    def adapter_spec(self) -> MethodConfig | None:
        """The adapter asked for, whichever of the two forms names it."""
        if self.adapter is not None:
            return self.adapter
        return None if self.lora is None else MethodConfig(method="lora", args=self.lora)

    @property
    def inference_or_default(self) -> InferenceConfig:
        return self.inference or InferenceConfig()

    @property
    def asks_about_labels(self) -> bool:
        """Whether rows are answered by a yes or no about each label."""
        return self.dataset.task_type == "multilabel" and self.inference_or_default.method == "logits"

    @property
    def template_asks(self) -> bool:
        """Whether a template shows the label that is asked about."""
        return self.asks_about_labels and self.label_question.place != "answer"

    @property
    def label_question(self) -> LabelQuestionConfig:
        return self.prompting.label_question or LabelQuestionConfig()

    @property
    def is_constrained(self) -> bool:
        """Whether answers are generated under their schema."""
        return self.dataset.task_type == "structured" and self.inference_or_default.constrained is not False

    @property
    def scores_answers(self) -> bool:
        """Whether answers are chosen, by their scores, among those that the data gives."""
        return self.dataset.task_type in ("classification", "multiple_choice") and (
            self.inference_or_default.method == "logits"
        )

    @property
    def has_shots(self) -> bool:
        """Whether an experiment with this config trains an adapter."""
        return self.dataset.shots != 0

    def seed_for(self, purpose: Literal["data", "icl", "train"]) -> int:
        own = {"data": self.data_seed, "icl": self.icl_seed, "train": self.train_seed}[purpose]
        return self.seed if own is None else own
