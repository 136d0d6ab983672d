"""The items of finished runs, read back as what metrics take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.errors import SftError
from sft.evaluation.outcome import ClassificationOutcome, GenerationOutcome
from sft.evaluation.stored_answers import stored_outcome
from sft.label_scores import INVALID
from sft.records import RunRecord

PATH = Path("results/run/items.jsonl")
PLAIN = {"score_normalization": "none", "calibration": None}


def record(labels: list[str] | None, **inference: Any) -> RunRecord:
    task_type = "generation" if labels is None else "classification"
    config = {"dataset": {"task_type": task_type}}
    return RunRecord("0" * 12, "x", "completed", 1, config, data={"labels": labels}, inference=inference)


def scored(reference: str, prediction: str, **more: Any) -> dict[str, Any]:
    return {"reference": reference, "prediction": prediction, **more}


def test_scores_that_nothing_was_done_to_give_the_probabilities_unrounded_and_impossible_labels_none() -> None:
    items = [
        scored("a", "b", scores=[-2.0, -1.0], probabilities=[0.268941, 0.731059]),
        scored("b", "a", scores=[-1.0, None], probabilities=[1.0, 0.0]),
    ]
    outcome = stored_outcome(items, record(["a", "b"], **PLAIN), PATH)
    assert isinstance(outcome, ClassificationOutcome)
    assert outcome.references.tolist() == [0, 1]
    assert outcome.predictions.tolist() == [1, 0]
    assert outcome.probabilities is not None
    np.testing.assert_allclose(outcome.probabilities, [[1 / (1 + np.e), np.e / (1 + np.e)], [1.0, 0.0]], rtol=1e-12)


def test_calibrated_probabilities_are_those_stored() -> None:
    items = [scored("a", "a", scores=[-2.0, -1.0], probabilities=[0.75, 0.25])]
    outcome = stored_outcome(items, record(["a", "b"], score_normalization="none", calibration={"method": "x"}), PATH)
    assert isinstance(outcome, ClassificationOutcome)
    assert outcome.probabilities is not None
    assert outcome.probabilities.tolist() == [[0.75, 0.25]]


def test_a_generated_answer_that_names_no_label_is_none() -> None:
    outcome = stored_outcome([scored("a", ""), scored("b", "b")], record(["a", "b"], method="generate"), PATH)
    assert isinstance(outcome, ClassificationOutcome)
    assert outcome.predictions.tolist() == [INVALID, 1]
    assert outcome.probabilities is None


def test_generated_texts_have_their_references() -> None:
    outcome = stored_outcome([{"references": ["x", "y"], "prediction": "z"}], record(None), PATH)
    assert outcome == GenerationOutcome([["x", "y"]], ["z"])


@pytest.mark.parametrize("item", [{"prediction": "a"}, {"reference": "a"}, scored("nothing known", "a")], ids=str)
def test_an_item_that_lacks_something_is_told_with_its_file(item: dict[str, Any]) -> None:
    with pytest.raises(SftError, match=r"items\.jsonl: an item lacks"):
        stored_outcome([item], record(["a", "b"]), PATH)
