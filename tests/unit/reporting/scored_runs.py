"""Results folders of every kind of run that a report has to show, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome, MultipleChoiceOutcome, StructuredOutcome
from sft.records import RunRecord, write_items, write_record
from tests.unit.reporting.records_by_hand import finished, shots
from tests.unit.reporting.runs_on_disk import NAMES

MARKUP = "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'></script>&amp;\u2028"
ARABIC = "كانت الخدمة ممتازة (5 من 5)!"

LOG = [{"loss": 2.0 / step, "learning_rate": 1e-3, "step": step, "epoch": float(step)} for step in (1, 2, 3)]


def write_scored(
    results: Path, texts: Sequence[str], confidences: Sequence[float], wrong: Sequence[int] = (), **more: Any
) -> Path:
    """A finished classification run over `NAMES`, references in turn.

    wrong: rows that are answered by the next label. confidences: of the answers; the other labels share the rest.
    """
    references = np.arange(len(texts)) % len(NAMES)
    predictions = (references + np.isin(np.arange(len(texts)), wrong)) % len(NAMES)
    rest = (1 - np.array(confidences)) / (len(NAMES) - 1)
    probabilities = np.repeat(rest[:, None], len(NAMES), axis=1)
    probabilities[np.arange(len(texts)), predictions] = confidences
    outcome = ClassificationOutcome(NAMES, references, predictions, probabilities)
    items = [
        {
            "row": i,
            "inputs": {"text": text},
            "reference": NAMES[references[i]],
            "prediction": NAMES[predictions[i]],
            "probabilities": probabilities[i].tolist(),
        }
        for i, text in enumerate(texts)
    ]
    data = {"labels": list(NAMES), "test_row_numbers": list(range(len(texts)))}
    return write(results, compute_metrics(outcome, None, {}), items, data=data, **more)


def write(results: Path, metrics: Mapping[str, Any], items: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    """A finished run with these results and items."""
    values = {"training": {"loss": 0.5, "log": LOG, "tokens": 100, "epochs": 2.0, "seconds": 4.0}, **more}
    values.setdefault("timings", {"training": 8.0, "inference": 3.0, "total": 12.0})
    record = finished(0.0, results=dict(metrics), **values)
    return _to_disk(
        results, replace(record, run_id=f"{len(list(results.glob('*'))):012d}", finished_at="2026-01-01"), items
    )


def _to_disk(results: Path, record: RunRecord, items: Sequence[Mapping[str, Any]]) -> Path:
    folder = results / record.folder_name
    write_items(folder, items)
    write_record(record, folder)
    return folder


def write_sweep(results: Path) -> None:
    """Zero-shot, and two seeds each of 2 and 8 shots, on twelve rows; one text is markup, one Arabic."""
    texts = [MARKUP, ARABIC, *(f"text {i}" for i in range(10))]
    sure = [0.4 + 0.05 * i for i in range(12)]
    bare = {"config": shots(0, lora=None, training=None), "training": None}
    write_scored(results, texts, sure, range(9), name="zero", **bare)
    for number, wrong in ((2, range(6)), (8, range(2))):
        for seed in (13, 14):
            rows = [*wrong, 11] if seed == 14 else wrong
            write_scored(results, texts, sure, rows, seed=seed, name=f"{number} {seed}", config=shots(number))


def write_multilabel(results: Path) -> Path:
    references = np.array([[True, False, True], [False, False, False]])
    predictions = np.array([[True, False, False], [False, False, False]])
    outcome = MultilabelOutcome(NAMES, references, predictions, np.where(predictions, 1.0, -1.0))
    items = [
        {
            "row": i,
            "inputs": {"text": f"text {i}"},
            "reference": [name for name, has in zip(NAMES, references[i], strict=True) if has],
            "prediction": [name for name, has in zip(NAMES, predictions[i], strict=True) if has],
            "log_odds": outcome.log_odds[i].tolist() if outcome.log_odds is not None else [],
            "probabilities": [0.5, 0.25, 0.125],
        }
        for i in range(2)
    ]
    dataset = {"path": "tests/no-such-data", "task_type": "multilabel", "shots": 2}
    data = {"labels": list(NAMES), "test_row_numbers": [0, 1]}
    return write(results, compute_metrics(outcome, None, {}), items, data=data, config={"dataset": dataset})


def write_multiple_choice(results: Path) -> Path:
    candidates = [["one", "two"], ["one", "two", "three"]]
    probabilities = np.array([[0.75, 0.25, 0.0], [0.2, 0.5, 0.3]])
    outcome = MultipleChoiceOutcome(candidates, np.array([0, 2]), np.array([0, 1]), probabilities)
    items = [
        {
            "row": i,
            "inputs": {"question": f"question {i}"},
            "candidates": candidates[i],
            "reference": candidates[i][outcome.references[i]],
            "reference_index": int(outcome.references[i]),
            "prediction": candidates[i][outcome.predictions[i]],
            "probabilities": probabilities[i, : len(candidates[i])].tolist(),
        }
        for i in range(2)
    ]
    dataset = {"path": "tests/no-such-data", "task_type": "multiple_choice", "shots": 2}
    prompting = {"input_columns": ["question"], "candidate_columns": ["x", "y", "z"], "output_column": "answer"}
    data = {"labels": None, "test_row_numbers": [0, 1]}
    config = {"dataset": dataset, "prompting": prompting}
    return write(results, compute_metrics(outcome, None, {}), items, data=data, config=config)


def write_structured(results: Path) -> Path:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    references, predictions = ['{"x": 1}', '{"x": 2}'], ['{"x": 1}', "no JSON"]
    outcome = StructuredOutcome(schema, references, predictions)
    items: list[dict[str, Any]] = [
        {"row": i, "inputs": {"text": f"text {i}"}, "reference": references[i], "prediction": predictions[i]}
        for i in range(2)
    ]
    items[1]["problem"] = "not JSON at character 0"
    dataset = {"path": "tests/no-such-data", "task_type": "structured", "shots": 2}
    prompting = {"input_columns": ["text"], "output_column": "answer", "output_schema": schema}
    config = {"dataset": dataset, "prompting": prompting}
    data = {"labels": None, "test_row_numbers": [0, 1]}
    return write(results, compute_metrics(outcome, None, {}), items, data=data, config=config)
