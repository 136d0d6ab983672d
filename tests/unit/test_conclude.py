"""From raw scores to predictions: normalise everything alike, calibrate, and only then compare labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sft.calibration.batch import BatchCalibration
from sft.calibration.batch_adjustable import AdjustableBatchCalibration
from sft.calibration.contextual import ContextualCalibration
from sft.calibration.domain import DomainContextCalibration
from sft.calibration.scored import ScoredInput, ScoredInputs, SupportInput
from sft.calibration.temperature import TemperatureScaling
from sft.config.schema import InferenceConfig, MethodConfig
from sft.data.example import Example
from sft.errors import ModelError
from sft.label_scores import LabelScores, probabilities
from sft.pipeline.conclude import conclude
from tests.fakes import label_set
from tests.unit.calibration.supports import support

LABELS = label_set(" no", " maybe", " yes")
CHARACTERS = np.array([2, 5, 3])
GENERATOR = np.random.default_rng(1)
ROWS = [Example(row, {"text": f"test {row}"}) for row in (4, 2, 9)]
TEST = -GENERATOR.gamma(4.0, size=(3, 3))
FILE = {"estimate_on": "unlabelled", "unlabelled_path": "more.jsonl"}


def draw(count: int) -> np.ndarray:
    return -GENERATOR.gamma(4.0, size=(count, 3))


CONTENT_FREE, WORDS, SHOTS, UNLABELLED, PER_PROMPT = draw(3), draw(20), draw(8), draw(4), draw(3)
# Two of eight shots are answered wrongly, so that the best temperature is finite.
SHOT_LABELS = (SHOTS / CHARACTERS).argmax(axis=1)
SHOT_LABELS[:2] = (SHOT_LABELS[:2] + 1) % 3


def scored(kind: Any, scores: np.ndarray, **more: Any) -> list[ScoredInput]:
    """One input per row of scores; `more` holds a list of values for each."""
    inputs = [
        SupportInput(
            kind,
            {"text": more.get("texts", [str(i)] * (i + 1))[i]},
            **{k: v[i] for k, v in more.items() if k != "texts"},
        )
        for i in range(len(scores))
    ]
    return [ScoredInput(one, row, np.array([1, 2, 3])) for one, row in zip(inputs, scores, strict=True)]


STORED = ScoredInputs(
    [
        *scored("content_free", CONTENT_FREE, texts=["N/A", "", "[MASK]"]),
        *scored("content_free", PER_PROMPT, texts=["N/A"] * 3, test_row=[9, 4, 2]),
        *scored("random_words", WORDS),
        *scored("shot", SHOTS, reference=[LABELS.names[i] for i in SHOT_LABELS]),
        *scored("unlabelled", UNLABELLED, file=["more.jsonl"] * 4),
    ],
    LABELS.names,
)


def concluded(method: str, normalization: str = "characters", **args: Any) -> np.ndarray:
    inference = InferenceConfig(calibration=MethodConfig(method=method, args=args), score_normalization=normalization)
    scores = LabelScores(TEST, np.tile([1, 2, 3], (3, 1)))
    return conclude(inference, LABELS, scores, ROWS, STORED).probabilities


# Method, its arguments, and the calibration itself applied to scores that are divided by hand.
BY_HAND: list[tuple[str, dict[str, Any], Any, dict[str, np.ndarray]]] = [
    ("contextual", {}, ContextualCalibration(), {"content_free": CONTENT_FREE}),
    (
        "contextual",
        {"prior": "per_prompt", "content_free_inputs": ["N/A"]},
        ContextualCalibration(prior="per_prompt"),
        {"content_free": PER_PROMPT[[1, 2, 0]][:, None, :]},
    ),
    ("domain", {"samples": 6}, DomainContextCalibration(), {"random_words": WORDS[:6]}),
    ("batch", {}, BatchCalibration(), {}),
    ("batch", FILE, BatchCalibration(estimate_on="unlabelled", unlabelled_path="x"), {"unlabelled": UNLABELLED}),
    ("batch_adjustable", {}, AdjustableBatchCalibration(), {"shots": SHOTS}),
    ("temperature", {}, TemperatureScaling(), {"shots": SHOTS}),
]


@pytest.mark.parametrize(("method", "args", "calibration", "seen"), BY_HAND, ids=[f"{m} {a}" for m, a, _, _ in BY_HAND])
def test_a_calibration_sees_everything_normalised_alike(
    method: str, args: dict[str, Any], calibration: Any, seen: dict[str, np.ndarray]
) -> None:
    given = support(**{name: scores / CHARACTERS for name, scores in seen.items()}, shot_labels=SHOT_LABELS)
    want = probabilities(calibration.adjust(TEST / CHARACTERS, given).scores)
    np.testing.assert_allclose(concluded(method, **args), want, atol=1e-12)
    raw = support(**seen, shot_labels=SHOT_LABELS)
    if seen:
        without = probabilities(calibration.adjust(TEST / CHARACTERS, raw).scores)
        assert np.abs(without - want).max() > 1e-3, "the example doesn't tell normalised scores from raw ones"


def test_the_prediction_is_the_likeliest_label_after_calibration() -> None:
    inference = InferenceConfig(calibration=MethodConfig(method="contextual"))
    scores = LabelScores(TEST, np.tile([1, 2, 3], (3, 1)))
    found = conclude(inference, LABELS, scores, ROWS, STORED)
    np.testing.assert_array_equal(found.label_indices, found.probabilities.argmax(axis=1))
    assert (found.label_indices != TEST.argmax(axis=1)).any()


@pytest.mark.parametrize(
    ("method", "args", "labelled", "unlabelled"),
    [
        ("contextual", {}, 0, {}),
        ("domain", {"samples": 6}, 0, {"words_of_training_rows": 6}),
        ("batch", {}, 0, {"test_rows": 3}),
        ("batch", FILE, 0, {"rows_of_a_file": 4}),
        ("batch_adjustable", {}, 8, {"test_rows": 3}),
        ("temperature", {}, 8, {}),
    ],
)
def test_the_report_declares_which_inputs_were_used(
    method: str, args: dict[str, Any], labelled: int, unlabelled: dict[str, int]
) -> None:
    inference = InferenceConfig(calibration=MethodConfig(method=method, args=args))
    scores = LabelScores(TEST, np.tile([1, 2, 3], (3, 1)))
    report = conclude(inference, LABELS, scores, ROWS, STORED).report["calibration"]
    assert (report["labelled_inputs"], report["unlabelled_inputs"]) == (labelled, unlabelled)
    assert (report["method"], report["args"]) == (method, args)
    assert report["transductive"] is ("test_rows" in unlabelled)


@pytest.mark.parametrize("method", ["batch", "batch_adjustable"])
def test_a_file_that_holds_test_inputs_makes_a_calibration_transductive(method: str) -> None:
    """Rows 1 and 3 of the file are row 2 of the test."""
    rows = [Example(4, {"text": "alone"}), Example(2, {"text": "shared"}), Example(9, {"text": "0 "})]
    texts = ["0", "shared", "2", "shared"]
    file = scored("unlabelled", UNLABELLED, texts=texts, file=["more.jsonl"] * 4)
    shots = scored("shot", SHOTS, reference=[LABELS.names[i] for i in SHOT_LABELS])
    inference = InferenceConfig(calibration=MethodConfig(method=method, args=FILE))
    scores = LabelScores(TEST, np.tile([1, 2, 3], (3, 1)))
    found = conclude(inference, LABELS, scores, rows, ScoredInputs([*file, *shots], LABELS.names))
    report = found.report["calibration"]
    assert report["transductive"] is True
    assert report["unlabelled_inputs"] == {"rows_of_a_file": 4, "rows_of_a_file_with_test_inputs": 2}
    (warning,) = found.warnings
    assert "2 of 4 rows of 'more.jsonl' have the inputs of test rows" in warning
    assert report["warnings"] == [warning]


IMPOSSIBLE = -np.inf


@pytest.mark.parametrize(
    ("scores", "premise"),
    [
        ([-1.0, -2.0, -3.0], [-1.0, IMPOSSIBLE, -1.0]),
        ([-1.0, IMPOSSIBLE, -3.0], [-1.0, IMPOSSIBLE, -1.0]),
        ([IMPOSSIBLE] * 3, [-1.0, -1.0, -1.0]),
    ],
)
def test_rows_whose_labels_cannot_be_compared_are_an_error(scores: list[float], premise: list[float]) -> None:
    stored = ScoredInputs(scored("premise", np.array([premise])), LABELS.names)
    inference = InferenceConfig(score_normalization="pmi")
    with pytest.raises(ModelError, match="no numbers"):
        conclude(inference, LABELS, LabelScores(np.array([scores]), np.array([[1, 2, 3]])), ROWS[:1], stored)


def test_an_impossible_label_has_probability_0() -> None:
    scores = LabelScores(np.array([[-1.0, IMPOSSIBLE, -1.0]]), np.array([[1, 2, 3]]))
    found = conclude(InferenceConfig(), LABELS, scores, ROWS[:1], STORED)
    np.testing.assert_allclose(found.probabilities, [[0.5, 0.0, 0.5]])
