"""The items of a finished run, in the form that metrics take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.config.output_schema import as_json_schema
from sft.errors import SftError
from sft.evaluation.outcome import (
    ClassificationOutcome,
    GenerationOutcome,
    MultilabelOutcome,
    MultipleChoiceOutcome,
    Outcome,
    StructuredOutcome,
)
from sft.label_scores import INVALID, log_probs_of, probabilities
from sft.records import RunRecord

Predictions = NDArray[np.int64]
Probabilities = NDArray[np.float64]


def stored_outcome(items: Sequence[dict[str, Any]], record: RunRecord, path: Path) -> Outcome:
    """items: of the record's test rows, from the file `path`, which errors name. Raises `SftError` for items that lack
    something.
    """
    try:
        return _READERS[record.config["dataset"]["task_type"]](items, record)
    except KeyError as error:
        raise SftError(
            f"{path}: an item lacks {error}, or has it as a label that the record doesn't know",
            "restore the file or run the experiment again",
        ) from error


def concluded_outcome(
    items: Sequence[dict[str, Any]],
    record: RunRecord,
    predictions: Predictions,
    probabilities: Probabilities,
) -> Outcome:
    """What follows when other predictions (indices) are made of the scores in the items of a run."""
    return _OUTCOMES[record.config["dataset"]["task_type"]](items, record, predictions, probabilities)


def _generation(items: Sequence[dict[str, Any]], record: RunRecord) -> Outcome:
    return GenerationOutcome([item["references"] for item in items], [item["prediction"] for item in items])


def _structured(items: Sequence[dict[str, Any]], record: RunRecord) -> Outcome:
    return StructuredOutcome(
        as_json_schema(record.config["prompting"]["output_schema"]),
        [item["reference"] for item in items],
        [item["prediction"] for item in items],
    )


def _classification(items: Sequence[dict[str, Any]], record: RunRecord) -> Outcome:
    number = {name: i for i, name in enumerate(record.data["labels"])}
    predictions = np.array([number.get(item["prediction"], INVALID) for item in items], dtype=np.int64)
    return _of_labels(items, record, predictions, _probabilities(items, record))


def _of_labels(
    items: Sequence[dict[str, Any]], record: RunRecord, predictions: Predictions, probabilities: Probabilities | None
) -> Outcome:
    labels = record.data["labels"]
    number = {name: i for i, name in enumerate(labels)}
    references = np.array([number[item["reference"]] for item in items], dtype=np.int64)
    return ClassificationOutcome(tuple(labels), references, predictions, probabilities)


def _multiple_choice(items: Sequence[dict[str, Any]], record: RunRecord) -> Outcome:
    number = [{text: i for i, text in enumerate(item["candidates"])} for item in items]
    predictions = [each[item["prediction"]] for each, item in zip(number, items, strict=True)]
    return _of_candidates(items, record, np.array(predictions, dtype=np.int64), _probabilities(items, record))


def _of_candidates(
    items: Sequence[dict[str, Any]], record: RunRecord, predictions: Predictions, probabilities: Probabilities | None
) -> Outcome:
    if probabilities is None:
        raise KeyError("probabilities")
    references = np.array([item["reference_index"] for item in items], dtype=np.int64)
    return MultipleChoiceOutcome([item["candidates"] for item in items], references, predictions, probabilities)


def _multilabel(items: Sequence[dict[str, Any]], record: RunRecord) -> Outcome:
    labels = record.data["labels"]
    number = {name: i for i, name in enumerate(labels)}
    log_odds = np.array([item["log_odds"] for item in items]) if items and "log_odds" in items[0] else None
    return MultilabelOutcome(
        tuple(labels),
        _holding([[number[name] for name in item["reference"]] for item in items], len(labels)),
        _holding([[number[name] for name in item["prediction"]] for item in items], len(labels)),
        log_odds,
    )


def _holding(rows: Sequence[Sequence[int]], n_labels: int) -> NDArray[np.bool_]:
    """[N, L] from the indices of each row's labels."""
    return np.array([np.isin(np.arange(n_labels), row) for row in rows]).reshape(len(rows), n_labels)


_READERS: dict[str, Callable[[Sequence[dict[str, Any]], RunRecord], Outcome]] = {
    "classification": _classification,
    "generation": _generation,
    "multilabel": _multilabel,
    "structured": _structured,
    "multiple_choice": _multiple_choice,
}

_OUTCOMES: dict[str, Callable[[Sequence[dict[str, Any]], RunRecord, Predictions, Probabilities | None], Outcome]] = {
    "classification": _of_labels,
    "multiple_choice": _of_candidates,
}


def _probabilities(items: Sequence[dict[str, Any]], record: RunRecord) -> NDArray[np.float64] | None:
    """[N, L], 0 for what a row with fewer candidates lacks.

    From the scores, where nothing was done to them, because stored probabilities are rounded.
    """
    if not items or "probabilities" not in items[0]:
        return None
    inference = record.inference
    if inference.get("score_normalization") == "none" and inference.get("calibration", 0) is None:
        return probabilities(_filled([log_probs_of(item) for item in items], -math.inf))
    return _filled([item["probabilities"] for item in items], 0.0)


def _filled(rows: Sequence[Sequence[float] | NDArray[np.float64]], value: float) -> NDArray[np.float64]:
    """[N, L], with `value` after the end of shorter rows."""
    result: NDArray[np.float64] = np.full((len(rows), max(map(len, rows))), value)
    for i, row in enumerate(rows):
        result[i, : len(row)] = row
    return result
