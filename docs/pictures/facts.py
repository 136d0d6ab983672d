"""What the pictures show, taken from the quickstart's data and model by the code of a run: facts.json."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sft.api import load_configs
from sft.calibration import Support, calibration_registry
from sft.config.load import config_from_value
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.inference.label_scorer import LabelScorer
from sft.label_scores import log_softmax
from sft.models.load import LoadedModel, load_model
from sft.models.source import find_model
from sft.models.tokenizer import load_tokenizer
from sft.pipeline.endpoints import evaluate
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.records import read_items, read_support

SWEEP = "etc/quickstart/quickstart.jsonnet"
MESSAGE = "Never again, not even free."
INSTRUCTION = "Is the message negative, neutral or positive?"
QUESTION = "Where is my new card?"
INTENTS = (" card lost", " card lost abroad", " card payment", " cash withdrawal")


def all_facts() -> dict[str, Any]:
    """Run from the root of the repository, which holds the quickstart."""
    config = next(named.config for named in load_configs(SWEEP) if named.name == "shots=0 seed=13")
    return {"tokens": token_facts(config), "tree": tree_facts(config), "calibration": calibration_facts(config)}


def token_facts(config: ExperimentConfig) -> dict[str, Any]:
    """A training row in both formats: its tokens in order, and whether the loss covers them."""
    chat = {"input_columns": ["text"], "output_column": "label", "instruction": INSTRUCTION, "format": "chat"}
    formats = {"plain": config, "chat": changed(config, prompting=chat)}
    return {name: list(_masked(each)) for name, each in formats.items()}


def tree_facts(config: ExperimentConfig) -> dict[str, Any]:
    """Labels that begin alike, as tokens after a prompt, each token's log-probability, and the sums by the scorer."""
    template = {"input_columns": ["text"], "output_column": "label", "format": "plain"}
    config = changed(config, prompting={**template, "template": "Customer: {text}\nTopic:"})
    loaded, builder = _prompts(config, LabelSet(INTENTS, INTENTS))
    prompt = builder.label_prompt(Example(0, {"text": QUESTION}), [])
    end = loaded.tokenizer.eos_token_id
    scores = LabelScorer(loaded.model).score([prompt], end).log_probs[0]
    labels = [[*label, end] for label in prompt.labels]
    return {
        "prompt": loaded.tokenizer.decode(prompt.prompt),
        "prompt_tokens": len(prompt.prompt),
        "labels": [
            {
                "tokens": [loaded.tokenizer.decode([token]) for token in label],
                "log_probs": rounded(_log_probs(loaded.model.model, prompt.prompt, label)),
                "score": rounded(score),
            }
            for label, score in zip(labels, scores, strict=True)
        ],
    }


def calibration_facts(config: ExperimentConfig) -> dict[str, Any]:
    """The zero-shot scores of the test rows, before and after two calibrations."""
    with tempfile.TemporaryDirectory() as folder:
        run = evaluate(config, folder)
        items = read_items(run.folder)
        beside = [item["scores"] for item in read_support(run.folder) if item["kind"] == "content_free"]
    labels = run.record.data["labels"]
    references = np.array([labels.index(item["reference"]) for item in items])
    scores = np.array([item["scores"] for item in items])
    empty = np.empty((0, len(labels)))
    support = Support(np.array(beside), empty, empty, np.empty(0, dtype=np.int64), empty)
    adjusted = {name: calibration_registry[name]().adjust(scores, support).scores for name in ("contextual", "batch")}
    row = 1
    return {
        "labels": labels,
        "rows": len(items),
        "per_label": np.bincount(references, minlength=len(labels)).tolist(),
        "message": items[row]["inputs"]["text"],
        "reference": items[row]["reference"],
        "probabilities": {
            name: rounded(np.exp(log_softmax(s)[row])) for name, s in {"none": scores, **adjusted}.items()
        },
        "content_free": rounded(np.exp(log_softmax(np.logaddexp.reduce(np.array(beside), axis=0, keepdims=True))[0])),
        "predicted": {name: _counts(s) for name, s in {"none": scores, **adjusted}.items()},
        "accuracy": {
            name: rounded((s.argmax(axis=1) == references).mean()) for name, s in {"none": scores, **adjusted}.items()
        },
    }


class _Loaded(NamedTuple):
    tokenizer: Any
    model: LoadedModel


def _prompts(config: ExperimentConfig, labels: LabelSet) -> tuple[_Loaded, PromptBuilder]:
    source = find_model(config.model)
    tokenizer = load_tokenizer(config.model, source)
    encoder = TextEncoder(tokenizer)
    prompt_format = choose_format(tokenizer, encoder, config.prompting)
    builder = PromptBuilder(encoder, prompt_format, config.prompting, labels, limit=None)
    return _Loaded(tokenizer, load_model(config.model, source, tokenizer)), builder


def _masked(config: ExperimentConfig) -> Iterator[tuple[str, bool]]:
    is_chat = config.prompting.format == "chat"
    labels = LabelSet(("negative",), ("negative" if is_chat else " terrible",))
    loaded, builder = _prompts(config, labels)
    ids, n_prompt = builder.training_sequence(Example(0, {"text": MESSAGE}, label=0), [])
    for i, token in enumerate(ids):
        yield loaded.tokenizer.decode([token]), i >= n_prompt


def _log_probs(model: Any, prompt: list[int], label: list[int]) -> np.ndarray:
    """Of each of the label's tokens, by one plain forward pass over prompt and label."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt + label])).logits[0].float().log_softmax(dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(label) - 1)
    return np.array([float(logits[place, token]) for place, token in zip(places, label, strict=True)])


def _counts(scores: np.ndarray) -> list[int]:
    return [int(count) for count in np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])]


def changed(config: ExperimentConfig, **sections: Any) -> ExperimentConfig:
    return config_from_value({**config.model_dump(mode="json"), **sections}, "a picture's config")


def rounded(value: Any) -> Any:
    return np.round(value, 3).tolist()
