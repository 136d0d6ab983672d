"""Small stand-ins for big things: a config for tiny data, data-set files, and byte tokenizers made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sft.config.load import config_from_value
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet

LABELS = ("negative", "neutral", "positive")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"


def config_value(**sections: Any) -> dict[str, Any]:
    """The plain values of a valid config. A section given as a dict is merged over the default one (not deeply),
    anything else replaces it, and None removes it: `config_value(dataset={"shots": 2}, lora=None, seed=7)`.
    """
    value: dict[str, Any] = {
        "dataset": {"path": "tests/no-such-data", "task_type": "classification", "shots": 2},
        "model": {"name": "tests/no-such-model"},
        "prompting": {"input_columns": ["text"], "output_column": "label"},
        "lora": {"r": 4},
        "training": {"trainer_args": {"learning_rate": 1e-3}},
        "inference": {},
        "seed": 13,
    }
    for name, given in sections.items():
        if given is None:
            value.pop(name, None)
        elif isinstance(given, Mapping) and isinstance(value.get(name), dict):
            value[name] = {**value[name], **given}
        else:
            value[name] = given
    return value


def make_config(**sections: Any) -> ExperimentConfig:
    """A checked config; arguments as for `config_value`. Nothing is read from disk."""
    return config_from_value(config_value(**sections), "test config")


def write_config(path: Path, value: Any) -> Path:
    """Write plain values as a JSON config."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def labelled_rows(per_label: int, labels: Sequence[str] = LABELS, prefix: str = "") -> list[dict[str, Any]]:
    """`per_label` distinct rows of each label, labels in turn, with the columns `text` and `label`."""
    return [{"text": f"{prefix}message {i} is {name}", "label": name} for i in range(per_label) for name in labels]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_dataset(
    folder: Path, train: Iterable[Mapping[str, Any]] | None = None, test: Iterable[Mapping[str, Any]] | None = None
) -> Path:
    """A folder with train.jsonl and test.jsonl (default: 4 and 2 rows per label); returns the folder."""
    write_jsonl(folder / "train.jsonl", labelled_rows(4) if train is None else train)
    write_jsonl(folder / "test.jsonl", labelled_rows(2, prefix="unseen ") if test is None else test)
    return folder


def make_examples(label_indices: Sequence[int | None], first_row: int = 0) -> list[Example]:
    """One example per label index (None: a generation example with a reference), numbered from `first_row`."""
    return [
        Example(row, {"text": f"text {row}"}, label=label, references=() if label is not None else (f"answer {row}",))
        for row, label in enumerate(label_indices, start=first_row)
    ]


def label_set(*verbalisations: str) -> LabelSet:
    """Labels whose names are their verbalisations without white space around them; default: `LABELS`."""
    texts = verbalisations or LABELS
    return LabelSet(tuple(text.strip() for text in texts), tuple(texts))


def byte_tokenizer(
    *, chat: bool = False, merges: Sequence[tuple[str, str]] = (), special_tokens: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: one token per byte of UTF-8, then one per merge; ids 0–255 are no byte's value.

    chat: with a ChatML template and `<|im_end|>` as EOS, else without a template and `<|endoftext|>` as EOS. merges:
    pairs of ASCII texts (a space is written " "), each side a byte or an earlier merge; words aren't split first, so
    a merge can cross any boundary. special_tokens: further special tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    pairs = [tuple(side.replace(" ", "Ġ").replace("\n", "Ċ") for side in pair) for pair in merges]
    for pair in pairs:
        vocabulary["".join(pair)] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END_OF_TEXT, IM_START, IM_END, *special_tokens])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=IM_END if chat else END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=4096,
    )
    if chat:
        tokenizer.chat_template = CHATML
    return tokenizer
