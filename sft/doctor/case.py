"""One config under examination: everything that checks ask about it, made when it is first asked for."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig
from sft.data.example import TaskData
from sft.doctor.part import part
from sft.doctor.stages import Stage, inference_stage, training_stage
from sft.errors import SftError
from sft.models.architecture import architecture_of, empty_model
from sft.models.load import LoadedModel, max_positions
from sft.models.source import ModelSource, find_model
from sft.models.tokenizer import load_tokenizer
from sft.models.unloaded import virtual_tokens_in
from sft.pipeline.prepare import Prepared, prepare
from sft.pipeline.run import bare_model
from sft.pipeline.run_prompts import RunPrompts, virtual_tokens_of
from sft.pipeline.session import RecentData
from sft.prompting.encoder import TextEncoder
from sft.prompting.labelled import LabelledIds
from sft.registry import unknown_name_fix
from sft.training.arguments import trainer_config
from sft.training.fast.choose import Foreseen, foresee_steps
from sft.training.fast.gpus import GpuSpeed, gpu_registry, speed_of
from sft.training.sequences import answers_only, loss_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ENDPOINTS = ("train", "predict", "evaluate", "run-experiment")


class Setting(NamedTuple):
    """What is known of a run beside its config.

    endpoint: the command. checkpoint: what it would be given as `--checkpoint`. gpu_bytes: memory of the GPU that it is
    meant for; None for the GPU of this machine, if there is one. gpu: its name in `gpu_registry`, for its speed.
    """

    endpoint: str = "run-experiment"
    checkpoint: str | None = None
    gpu_bytes: int | None = None
    gpu: str | None = None


def setting_of(endpoint: str, checkpoint: str | None, gpu: str | None, gpu_gib: float | None) -> Setting:
    """Raises `SftError` for a command that isn't one of `ENDPOINTS`, and for a GPU that isn't known."""
    if endpoint not in ENDPOINTS:
        raise SftError(f"--endpoint {endpoint!r} is no command to examine for", unknown_name_fix(endpoint, ENDPOINTS))
    size = None if gpu is None else gpu_registry[gpu].memory
    return Setting(endpoint, checkpoint, size if gpu_gib is None else int(gpu_gib * 2**30), gpu)


class TrainingLength(NamedTuple):
    """rows: sequences that are trained on. step: how many of them an optimizer step takes. steps: of the optimizer,
    fewer where sequences are packed.
    """

    rows: int
    steps: int
    step: int


class Tokenizing(NamedTuple):
    """A tokenizer, and the encoder around it, which takes seconds to make for a large vocabulary."""

    tokenizer: PreTrainedTokenizerBase
    encoder: TextEncoder


class Shared:
    """What the configs of a sweep have in common, so that it is read once: the last data set, and tokenizers."""

    def __init__(self) -> None:
        self._data = RecentData()
        self._tokenizers: dict[str, Tokenizing] = {}

    def data(self, config: ExperimentConfig) -> TaskData:
        return self._data.get(config)

    def tokenizing(self, key: str, load: Callable[[], PreTrainedTokenizerBase]) -> Tokenizing:
        if key not in self._tokenizers:
            tokenizer = load()
            self._tokenizers[key] = Tokenizing(tokenizer, TextEncoder(tokenizer))
        return self._tokenizers[key]


class Case:
    """config, setting: what is examined. said: what making parts warned of, by the check that tells of them.

    Reading a part raises `UnavailableError` where it can't be made; whoever runs checks deals with that.
    """

    def __init__(self, config: ExperimentConfig, setting: Setting, shared: Shared) -> None:
        self.config, self.setting = config, setting
        self.made: dict[str, Any] = {}
        self.said: dict[str, list[str]] = {}
        self._shared = shared

    @property
    def trains(self) -> bool:
        by_itself = self.setting.endpoint == "run-experiment" and self.config.has_shots
        return self.setting.endpoint == "train" or by_itself

    @property
    def gpu_bytes(self) -> int | None:
        """Memory for the run: of the GPU that was named, else what is free on this machine's; None without a GPU."""
        if self.setting.gpu_bytes is not None:
            return self.setting.gpu_bytes
        return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None

    @property
    def gpu_speed(self) -> GpuSpeed | None:
        """Of the GPU that was named, else of this machine's; None where it isn't known."""
        if self.setting.gpu is not None:
            return gpu_registry[self.setting.gpu]
        if self.setting.gpu_bytes is not None or not torch.cuda.is_available():
            return None
        return speed_of(torch.cuda.get_device_name())

    @part("data")
    def prepared(self) -> Prepared:
        return prepare(self.config, self._shared.data)

    @part("model")
    def source(self) -> ModelSource:
        source = find_model(self.config.model, self.setting.checkpoint)
        return bare_model(source) if self.trains else source

    @part("model")
    def architecture(self) -> Any:
        """transformers' config of the model."""
        return architecture_of(self.config.model)

    @part("model")
    def _tokenizing(self) -> Tokenizing:
        source: ModelSource = self.source
        key = f"{self.config.model.model_dump_json()} {source}"
        return self._shared.tokenizing(key, lambda: load_tokenizer(self.config.model, source))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizing.tokenizer

    @part("chat_template")
    def prompts(self) -> RunPrompts:
        positions = max_positions(self.architecture)
        return RunPrompts(self.prepared, self.tokenizer, positions, self._tokenizing.encoder)

    @part("training")
    def trainer(self) -> Any:
        """TRL's `SFTConfig`. Nothing is written into its folder."""
        return trainer_config(self.config, Path("unused"), keep_checkpoints=False)

    @part("truncation")
    def training_stage(self) -> Stage:
        return training_stage(self.prepared, self.prompts, self.trainer.max_length)

    @property
    def training_rows(self) -> list[LabelledIds]:
        """The sequences that were looked at, with what is in the loss."""
        only = answers_only(self.trainer)
        stage: Stage = self.training_stage
        return [LabelledIds(each.ids, loss_labels(each, answers_only=only)) for each in stage.sequences]

    @part("fast_paths")
    def foreseen(self) -> Foreseen:
        """How steps would be computed, for an objective that doesn't read labels."""
        training, args = self.config.training, copy.copy(self.trainer)
        assert training is not None
        if self.setting.gpu_bytes is not None:
            args._n_gpu = min(args.n_gpu, 1)  # those of this machine aren't the one that is meant
        return foresee_steps(
            self.empty,
            args,
            self.training_rows,
            asked=set(training.trainer_args),
            batches=training.batches,
            compiles=training.compile,
        )

    @property
    def training_length(self) -> TrainingLength:
        args, stage = self.trainer, self.training_stage
        rows = math.ceil(len(stage.sequences) * stage.total / len(stage.examined))
        step = args.per_device_train_batch_size * args.gradient_accumulation_steps
        steps = args.max_steps if args.max_steps > 0 else math.ceil(math.ceil(rows / step) * args.num_train_epochs)
        return TrainingLength(rows, steps, step)

    @part("truncation")
    def inference_stage(self) -> Stage:
        taken = virtual_tokens_of(self.config) if self.trains else virtual_tokens_in(self.source)
        return inference_stage(self.prepared, self.prompts, taken)

    @part("model")
    def bare(self) -> Any:
        """The model without data and without adapter, on the meta device."""
        with torch.device("meta"):
            return empty_model(self.config.model, self.architecture)

    @part("adapter")
    def empty(self) -> LoadedModel:
        """The same; with its adapter where the run trains."""
        model, spec = self.bare, self.config.adapter_spec
        if self.trains and spec is not None:
            with torch.device("meta"):
                model = method_of(spec).wrap(empty_model(self.config.model, self.architecture), spec.args)
        return LoadedModel(model, self.tokenizer, self.source, max_positions(self.architecture))
