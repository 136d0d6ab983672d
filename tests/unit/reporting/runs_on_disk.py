"""Folders of runs as a run would leave them, with predictions made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import ClassificationOutcome, GenerationOutcome, Outcome
from sft.records import write_items, write_record
from tests.unit.reporting.records_by_hand import finished

NAMES = ("a", "b", "c")


def write_run(
    results: Path,
    references: Sequence[int],
    predictions: Sequence[int],
    *,
    seed: int = 13,
    first_row: int = 0,
    **more: Any,
) -> Path:
    """A finished classification run; references and predictions are positions in `NAMES` (-1: none)."""
    outcome = ClassificationOutcome(NAMES, np.array(references), np.array(predictions))
    items = [
        {
            "row": first_row + i,
            "inputs": {"text": f"text {i}"},
            "reference": NAMES[reference],
            "prediction": "" if prediction < 0 else NAMES[prediction],
        }
        for i, (reference, prediction) in enumerate(zip(references, predictions, strict=True))
    ]
    return _write(results, outcome, items, list(NAMES), seed, more)


def write_texts(results: Path, references: Sequence[str], predictions: Sequence[str], *, seed: int = 13) -> Path:
    """A finished run of generation, one reference a row."""
    outcome = GenerationOutcome([[text] for text in references], list(predictions))
    items = [
        {"row": i, "inputs": {"text": f"text {i}"}, "references": [reference], "prediction": prediction}
        for i, (reference, prediction) in enumerate(zip(references, predictions, strict=True))
    ]
    dataset = {"path": "tests/no-such-data", "task_type": "generation", "shots": 2}
    return _write(results, outcome, items, None, seed, {"config": {"dataset": dataset}})


def _write(
    results: Path,
    outcome: Outcome,
    items: list[dict[str, Any]],
    labels: list[str] | None,
    seed: int,
    more: dict[str, Any],
) -> Path:
    data = {"labels": labels, "test_row_numbers": [item["row"] for item in items]}
    record = finished(0.0, seed=seed, results=compute_metrics(outcome, None, {}), data=data, **more)
    record = replace(record, run_id=f"{len(list(results.glob('*'))):012d}", finished_at="2026-01-01")
    folder = results / record.folder_name
    write_items(folder, items)
    write_record(record, folder)
    return folder
