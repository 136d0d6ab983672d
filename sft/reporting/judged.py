"""A finished run's items, read back in the form that metrics take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.outcome import ClassificationOutcome, GenerationOutcome, Outcome
from sft.evaluation.resampling import JudgedRun, judge
from sft.records import ITEMS_FILE, RunRecord, read_items


def read_judged(folder: Path, record: RunRecord) -> JudgedRun:
    """Raises `SftError` naming the file where the items aren't whole or aren't those of the record's test rows."""
    evaluation = ExperimentConfig.model_validate(record.config).evaluation
    return judge(read_outcome(folder, record), evaluation.metrics, evaluation.metric_args, record.results)


def read_outcome(folder: Path, record: RunRecord) -> Outcome:
    """Like `read_judged`, without the metrics."""
    return outcome_of(items_of_run(folder, record), record, folder / ITEMS_FILE)


def items_of_run(folder: Path, record: RunRecord) -> list[dict[str, Any]]:
    """The items of the record's test rows, in their order."""
    path = folder / ITEMS_FILE
    try:
        items = read_items(folder)
    except OSError as error:
        raise SftError(f"{path}: {error.strerror or error}", "restore the file or run the experiment again") from error
    except json.JSONDecodeError as error:
        raise SftError(f"{path}: not whole: {error}", "restore the file or run the experiment again") from error
    rows = record.data.get("test_row_numbers")
    if [item.get("row") for item in items] != rows:
        raise SftError(
            f"{path}: its {len(items)} rows are not the {len(rows or ())} test rows of the record",
            "restore the file or run the experiment again",
        )
    return items


def outcome_of(items: Sequence[dict[str, Any]], record: RunRecord, path: Path) -> Outcome:
    labels = record.data.get("labels")
    try:
        if labels is None:
            return GenerationOutcome([item["references"] for item in items], [item["prediction"] for item in items])
        number = {name: i for i, name in enumerate(labels)}
        return ClassificationOutcome(
            tuple(labels),
            np.array([number[item["reference"]] for item in items], dtype=np.int64),
            np.array([number.get(item["prediction"], -1) for item in items], dtype=np.int64),
            _probabilities(items, record),
        )
    except KeyError as error:
        raise SftError(f"{path}: an item lacks {error}, or has it as a label that the record doesn't know") from error


def _probabilities(items: Sequence[dict[str, Any]], record: RunRecord) -> NDArray[np.float64] | None:
    """[N, L]; from the scores, where nothing was done to them, because stored probabilities are rounded."""
    if not items or "probabilities" not in items[0]:
        return None
    inference = record.inference
    if inference.get("score_normalization") == "none" and inference.get("calibration", 0) is None:
        scores = np.array([item["scores"] for item in items], dtype=np.float64)
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        softmax: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
        return softmax
    return np.array([item["probabilities"] for item in items], dtype=np.float64)
