"""Models and jobs that label scoring is measured on: the same prompts as token ids and as texts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import device

from sft.config.schema import PromptingConfig
from sft.data.example import Example, LabelSet
from sft.models.load import LoadedModel
from sft.models.source import ModelSource
from sft.prompting.build import LabelPrompt, PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import Demonstration

QUICKSTART_MODEL = Path(__file__).parents[1] / "etc/quickstart/model"
SHAPES = {
    "0.5b": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
             "num_key_value_heads": 2, "tie_word_embeddings": True},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "tie_word_embeddings": False},
}  # fmt: skip
VOCABULARY = 152_064
ONE_TOKEN = {"negative": "ill", "neutral": "so", "positive": "well"}
CPU_PROMPT_TOKENS = 900


class JobSpec(NamedTuple):
    """What is asked of a data set. examples: in-context examples per label; None for as many as fit."""

    name: str
    data: str
    examples: int | None
    verbalisations: dict[str, str] | None
    rows: int
    slow_rows: int


GPU_JOBS = (
    JobSpec("sentiment", "tweet_eval_sentiment", 8, None, 2000, 16),
    JobSpec("sentiment_one_token", "tweet_eval_sentiment", 8, ONE_TOKEN, 2000, 16),
    JobSpec("intents", "banking77", 1, None, 256, 2),
)
CPU_JOBS = (
    JobSpec("intents", "banking77", None, None, 256, 2),
    JobSpec("sentiment", "tweet_eval_sentiment", 0, None, 2000, 64),
)


class Job(NamedTuple):
    """The same prompts as token ids and as texts, and the labels as they are appended to the texts."""

    spec: JobSpec
    prompts: list[LabelPrompt]
    texts: list[str]
    labels: list[str]


def random_model(shape: dict[str, Any]) -> LoadedModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART_MODEL)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        max_position_embeddings=32_768,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        **shape,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device()):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    torch.set_default_dtype(torch.float32)
    return LoadedModel(model, tokenizer, ModelSource("random weights", None), config.max_position_embeddings)


def pretrained_model(path: Path) -> LoadedModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval().to(device())
    tokenizer = AutoTokenizer.from_pretrained(path)
    return LoadedModel(model, tokenizer, ModelSource(str(path), None), model.config.max_position_embeddings)


def build_job(spec: JobSpec, assets: Path, tokenizer: Any, *, chat: bool) -> Job:
    folder = assets / "data" / spec.data
    train, test = (
        [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        for split in ("train", "test")
    )
    names = sorted({row["label"] for row in train})
    texts = spec.verbalisations or {name: name if chat else name.replace("_", " ") for name in names}
    labels = LabelSet(tuple(names), tuple(texts[name] for name in names))
    prompting = PromptingConfig(
        instruction=f"Classify the text into one of: {', '.join(labels.verbalisations)}." if chat else
        "Name what the text is about." if spec.data == "banking77" else "Is the tweet negative, neutral or positive?",
        input_columns=["text"], output_column="label", format="chat" if chat else "plain",
    )  # fmt: skip
    encoder = TextEncoder(tokenizer)
    layout = choose_format(tokenizer, encoder, prompting)
    builder = PromptBuilder(encoder, layout, prompting, labels, None)
    generator = random.Random(0)
    by_label = {name: [i for i, row in enumerate(train) if row["label"] == name] for name in names}
    per_label = 1 if spec.examples is None else spec.examples
    shown = [i for name in names for i in generator.sample(by_label[name], min(per_label, len(by_label[name])))]
    generator.shuffle(shown)
    examples = [Example(i, {"text": train[i]["text"]}, label=names.index(train[i]["label"])) for i in shown]
    queries = [Example(i, {"text": row["text"]}) for i, row in enumerate(test[: spec.rows])]
    if spec.examples is None:
        longest = max(queries, key=lambda query: len(query.inputs["text"]))
        while len(builder.label_prompt(longest, examples).prompt) > CPU_PROMPT_TOKENS:
            examples = examples[1:]
    demonstrations = [Demonstration(e.inputs, labels.verbalisations[e.label or 0]) for e in examples]
    return Job(
        spec,
        [builder.label_prompt(query, examples) for query in queries],
        ["".join(piece.text for piece in layout.prompt(demonstrations, query.inputs)) for query in queries],
        [layout.answer(text) for text in labels.verbalisations],
    )
