"""Every calibration on SST-2 and TREC, zero-shot, from one pass of the model over each test set.

    python benchmarks/calibration.py --assets ../shared

Scores the full test sets with the pretrained 31 M parameter model of the assets (no training, no in-context examples;
16 shots per label are the budget of the methods that learn from labels, and only theirs), then applies calibrations to
the stored scores as `sft results calibrate` does. Beside each accuracy stands its difference to the uncalibrated one
with a paired 95 % bootstrap interval over test rows and McNemar's exact p, corrected by Holm over the table. Writes
`benchmarks/results/calibration.json` and a table beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import commit
from scipy.stats import binomtest, bootstrap

import sft
from sft.config.load import config_from_value
from sft.environment import environment
from sft.records import read_items

SHOTS, SEED, RESAMPLES = 16, 13, 9999


class Task(NamedTuple):
    """lengths: normalisations by length that make a difference. All labels are ASCII, so bytes are characters."""

    template: str
    labels: dict[str, str]
    lengths: tuple[str, ...]


TASKS = {
    # The model has one token for each label.
    "sst2": Task("Review: {text}\nIt was", {"negative": " terrible", "positive": " great"}, ("characters",)),
    "trec": Task(
        "Question: {text}\nAsks about:",
        {
            "abbreviation": " an abbreviation",
            "description": " a description",
            "entity": " a thing",
            "human": " a person",
            "location": " a place",
            "number": " a number",
        },
        ("tokens", "characters"),
    ),
}
# Contextual and (log-space) batch calibration undo what these add to a label's scores, so they stand alone or with a
# temperature.
PRIORS = ("pmi", "calibrated_tokens")
COLUMNS = ("accuracy", "macro_f1", "ece", "nll")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--max-n-test", type=int, help="A stratified part of each test set, to try the script.")
    arguments = parser.parse_args()
    tables, seconds = {}, {}
    for name in TASKS:
        with tempfile.TemporaryDirectory() as results:
            run = sft.evaluate(config(arguments.assets, name, arguments.max_n_test), results)
            tables[name] = compared(run.folder, recalibrated(run.folder, TASKS[name].lengths))
            seconds[name] = run.record.timings
    report = {
        "rows": tables,
        "shots_per_label": SHOTS,
        "seconds": seconds,
        "environment": environment(),
        "commit": commit(),
    }
    arguments.out.mkdir(exist_ok=True)
    (arguments.out / "calibration.json").write_text(json.dumps(report, indent=2) + "\n")
    text = markdown(tables, report)
    (arguments.out / "calibration.md").write_text(text)
    print(text)


def config(assets: Path, name: str, max_n_test: int | None) -> sft.ExperimentConfig:
    task = TASKS[name]
    value = {
        "dataset": {
            "path": str(assets / "data" / name),
            "task_type": "classification",
            "shots": SHOTS,
            "max_n_test": max_n_test,
            "labels": task.labels,
        },
        "model": {"name": str(assets / "models/base-31m")},
        "prompting": {
            "input_columns": ["text"],
            "output_column": "label",
            "format": "plain",
            "template": task.template,
        },
        "inference": {"score_shots": True},
        "seed": SEED,
    }
    return config_from_value(value, "benchmark", endpoint="evaluate")


def recalibrated(folder: Path, lengths: Sequence[str]) -> list[Path]:
    """The folders of all sensible choices."""
    choices: list[tuple[list[str], dict[str, Any] | None, list[str]]] = [
        (["none"], None, [*lengths, *PRIORS]),
        (["contextual", "domain", "batch", "batch_adjustable"], None, ["none", *lengths]),
        (["batch"], {"space": "probability"}, ["none", *lengths]),
        (["temperature"], None, ["none", *lengths, *PRIORS]),
    ]
    return [
        new
        for methods, args, normalizations in choices
        for new in sft.calibrate_results([folder], methods, args=args, normalizations=normalizations).folders
    ]


def compared(uncalibrated: Path, others: Sequence[Path]) -> list[dict[str, Any]]:
    """One row per record, the uncalibrated first, with its difference to that one."""
    base = correct(uncalibrated)
    rows = [summary(uncalibrated), *map(summary, others)]
    tests = [difference(base, correct(folder)) for folder in others]
    for row, test, p in zip(rows[1:], tests, holm([test["p"] for test in tests]), strict=True):
        row.update(test, p_holm=p)
    return rows


def summary(folder: Path) -> dict[str, Any]:
    record = sft.read_record(folder)
    inference = record.inference
    calibration = inference["calibration"] or {"method": "none", "args": {}, "transductive": False, "fitted": {}}
    return {
        "normalization": inference["score_normalization"],
        "calibration": calibration["method"],
        "args": calibration["args"],
        "transductive": calibration["transductive"],
        "fitted": calibration["fitted"],
        "test_rows": record.counts["test_rows"],
        **{name: record.results[name] for name in COLUMNS},
    }


def correct(folder: Path) -> np.ndarray:
    """[N] whether each test row is answered rightly."""
    return np.array([item["prediction"] == item["reference"] for item in read_items(folder)])


def difference(base: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Accuracy of `other` less that of `base`, on the same rows."""

    def mean_difference(a: np.ndarray, b: np.ndarray, axis: int) -> Any:
        return np.mean(b, axis=axis) - np.mean(a, axis=axis)

    interval = bootstrap(
        (base.astype(float), other.astype(float)),
        mean_difference,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=500,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    gained, lost = int((other & ~base).sum()), int((base & ~other).sum())
    return {
        "difference": float(other.mean() - base.mean()),
        "interval": [float(interval.low), float(interval.high)],
        "gained": gained,
        "lost": lost,
        "p": float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the given order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def markdown(tables: dict[str, list[dict[str, Any]]], report: dict[str, Any]) -> str:
    machine = report["environment"]
    where = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['threads']} threads"
    parts = [
        "# Calibrations, zero-shot",
        f"base-31m (pretrained for this project), seed {SEED}, {SHOTS} shots per label for the methods that learn from "
        f"labels. {where}; torch {machine['versions']['torch']}; commit {report['commit']}.",
        f"Difference: to the uncalibrated accuracy, with the 95 % percentile interval of {RESAMPLES} paired bootstrap "
        "resamples of test rows. p: McNemar's exact test, Holm-corrected over the table. T: transductive.",
    ]
    for name, rows in tables.items():
        header = ["normalization", "calibration", "fitted", *COLUMNS, "difference", "p"]
        lines = [header, ["---"] * len(header), *map(cells, rows)]
        parts.append(f"## {name}, {rows[0]['test_rows']} test rows, {len(TASKS[name].labels)} labels")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def cells(row: dict[str, Any]) -> list[str]:
    args = " ".join(map(str, row["args"].values()))
    method = " ".join(filter(None, [row["calibration"], args, "(T)" if row["transductive"] else ""]))
    fitted = ", ".join(f"{name} {value:.2f}" for name, value in row["fitted"].items())
    shown = [row["normalization"], method, fitted, *(f"{row[name]:.3f}" for name in COLUMNS)]
    if "p" not in row:
        return [*shown, "", ""]
    low, high = row["interval"]
    return [*shown, f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]", f"{row['p_holm']:.3g}"]


if __name__ == "__main__":
    main()
