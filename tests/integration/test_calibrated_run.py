"""Calibration in a run: what the record says and what predictions rest on, from scores computed apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.errors import SftError
from sft.pipeline.endpoints import Run, evaluate
from sft.records import read_items
from tests.fakes import LABELS, labelled_rows
from tests.integration.test_in_context import prompt, scores_of
from tests.tiny_runs import tiny_run

TEST = labelled_rows(3, prefix="unseen ")


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def run_with(folder: Path, method: str, **args: Any) -> Run:
    calibration = {"method": method, "args": args}
    config = tiny_run(
        folder, test=TEST, prompting={"instruction": "Say which."}, inference={"calibration": calibration}
    )
    return evaluate(config, folder / "results")


def check(run: Run, expected: np.ndarray, transductive: bool) -> None:
    """Items show uncalibrated scores and calibrated probabilities, on which predictions rest."""
    items = read_items(run.folder)
    np.testing.assert_allclose([item["probabilities"] for item in items], expected, atol=2e-5)
    predictions = [LABELS[i] for i in expected.argmax(axis=1)]
    assert [item["prediction"] for item in items] == predictions
    uncalibrated = np.array([item["scores"] for item in items])
    assert [LABELS[i] for i in uncalibrated.argmax(axis=1)] != predictions, "calibration changes no prediction here"
    hits = [item["reference"] == prediction for item, prediction in zip(items, predictions, strict=True)]
    assert run.record.results["accuracy"] == pytest.approx(sum(hits) / len(hits))
    assert run.record.inference["calibration"]["transductive"] is transductive


def test_contextual_calibration_scores_content_free_inputs_in_the_runs_own_prompt(tmp_path: Path) -> None:
    inputs = ["N/A", "", "[MASK]"]
    run = run_with(tmp_path, "contextual")
    base = run.record.model["base"]
    scores = scores_of(base, [prompt((), row["text"]) for row in TEST])
    content_free = scores_of(base, [prompt((), text) for text in inputs])
    prior = np.exp(content_free).mean(axis=0)
    check(run, softmax(scores - np.log(prior / prior.sum())), transductive=False)
    np.testing.assert_allclose(run.record.inference["calibration"]["content_free_scores"], content_free, atol=1e-4)


def test_the_configs_own_content_free_inputs_are_used(tmp_path: Path) -> None:
    run = run_with(tmp_path, "contextual", content_free_inputs=["nothing"])
    content_free = scores_of(run.record.model["base"], [prompt((), "nothing")])
    np.testing.assert_allclose(run.record.inference["calibration"]["content_free_scores"], content_free, atol=1e-4)


def test_batch_calibration_removes_the_mean_over_the_test_rows(tmp_path: Path) -> None:
    run = run_with(tmp_path, "batch")
    probabilities = softmax(scores_of(run.record.model["base"], [prompt((), row["text"]) for row in TEST]))
    logs = np.log(probabilities)
    check(run, softmax(logs - logs.mean(axis=0)), transductive=True)


def test_batch_calibration_of_one_test_row_is_refused(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, dataset={"max_n_test": 1}, inference={"calibration": {"method": "batch"}})
    with pytest.raises(SftError, match="needs several test rows"):
        evaluate(config, tmp_path / "results")
