"""From raw label scores to predictions: normalise → calibrate → softmax → argmax. Needs no model and no torch.

Runs and `sft results calibrate` both end here, so both give the same from the same scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.calibration import Calibration, Needs, Support, calibration_registry
from sft.calibration.base import Scores
from sft.calibration.normalization import Normalization, Reference, normalization_registry
from sft.calibration.normalization.rows import normalize_rows
from sft.calibration.scored import RawSupport, ScoredInputs
from sft.config.schema import InferenceConfig, MethodConfig
from sft.data.example import Example, LabelSet
from sft.errors import ModelError
from sft.label_scores import LabelScores, probabilities


class Conclusion(NamedTuple):
    """label_indices: [N]. probabilities: [N, L], 0 for what a row with fewer candidates lacks.

    report: how they came about, for the record. warnings: those of the calibration. Its report holds them too, because
    another calibration of the same scores leaves others.
    """

    label_indices: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    report: dict[str, Any]
    warnings: tuple[str, ...]


def needs_of(inference: InferenceConfig) -> list[Needs]:
    """What the config's normalisation and calibration need beside the test rows."""
    normalization: Normalization = normalization_registry[inference.score_normalization]()
    needs = [normalization.needs]
    if inference.calibration is not None:
        needs.append(make_calibration(inference.calibration).needs)
    return needs


def scores_shots(inference: InferenceConfig) -> bool:
    """Whether a run with this config scores its shots, if it can."""
    return inference.score_shots or any(needs.shots for needs in needs_of(inference))


def make_calibration(spec: MethodConfig) -> Calibration:
    calibration: Calibration = calibration_registry[spec.method](**spec.args)
    return calibration


def conclude(
    inference: InferenceConfig,
    labels: LabelSet | None,
    scores: LabelScores,
    test: Sequence[Example],
    support: ScoredInputs,
) -> Conclusion:
    """labels: None where every row has candidates of its own. scores: raw, of the rows `test`, whose labels aren't
    looked at.

    Raises `MissingScores` where `support` lacks what the config's methods need, `ModelError` for results that are no
    numbers.
    """
    normalization: Normalization = normalization_registry[inference.score_normalization]()
    test_rows = [example.row for example in test]
    beside = support.select(normalization.needs, test_rows)
    normalized = _Normalizer(normalization, labels, beside)
    report: dict[str, Any] = {"score_normalization": inference.score_normalization, "calibration": None}
    warnings: tuple[str, ...] = ()
    with np.errstate(invalid="ignore"):  # minus infinity less minus infinity, which is told below
        adjusted = normalized(scores, [example.candidates for example in test])
        if inference.calibration is not None:
            calibration = make_calibration(inference.calibration)
            seen = normalized.support(support.select(calibration.needs, test_rows))
            adjusted, fitted, warnings = calibration.adjust(adjusted, seen)
            in_file = _test_inputs_in_file(calibration, test, support)
            if in_file:
                warnings += (_seen_in_file(in_file, len(seen.unlabelled), calibration),)
            report["calibration"] = {
                **inference.calibration.model_dump(),
                "transductive": calibration.transductive or in_file > 0,
                "fitted": dict(fitted),
                "labelled_inputs": len(seen.shots),
                "unlabelled_inputs": _unlabelled_inputs(calibration, len(test), len(seen.unlabelled), in_file),
                "warnings": list(warnings),
            }
    if not np.isfinite(adjusted.max(axis=1)).all():
        raise ModelError(
            "the calibrated scores are no numbers: a label is impossible after the inputs that it is compared with, or "
            "every label after a test row",
            "use another inference.calibration, score_normalization or label_end",
        )
    return Conclusion(adjusted.argmax(axis=1), probabilities(adjusted), report, warnings)


class _Normalizer:
    """All scores of a run go through the same normalisation: by the labels of the task, or by each row's candidates."""

    def __init__(self, normalization: Normalization, labels: LabelSet | None, beside: RawSupport) -> None:
        self._normalization, self._beside = normalization, beside
        self._reference = None
        if labels is not None:
            self._reference = Reference(labels.verbalisations, beside.premise, beside.content_free)

    def __call__(self, scores: LabelScores, candidates: Sequence[tuple[str, ...]] = ()) -> Scores:
        if self._reference is None:
            return normalize_rows(self._normalization, scores, candidates, self._beside.premise)
        return self._normalization.normalize(scores, self._reference)

    def support(self, raw: RawSupport) -> Support:
        """Rows with candidates of their own have none but shots, and for those no premise was scored."""
        assert not raw.shot_candidates or not self._normalization.needs.premise
        return Support(
            content_free=self(raw.content_free),
            random_words=self(raw.random_words),
            shots=self(raw.shots, raw.shot_candidates),
            shot_labels=raw.shot_labels,
            unlabelled=self(raw.unlabelled),
        )


def _test_inputs_in_file(calibration: Calibration, test: Sequence[Example], support: ScoredInputs) -> int:
    """How many rows of the calibration's file have the inputs of a test row."""
    tested = {tuple(example.inputs.values()) for example in test}
    return sum(tuple(inputs.values()) in tested for inputs in support.inputs_of(calibration.needs.unlabelled))


def _seen_in_file(count: int, rows: int, calibration: Calibration) -> str:
    return (
        f"{count} of {rows} rows of {calibration.needs.unlabelled!r} have the inputs of test rows: the calibration is "
        "marked as transductive; remove them for one that isn't"
    )


def _unlabelled_inputs(calibration: Calibration, test_rows: int, file_rows: int, in_file: int) -> dict[str, int]:
    """How many inputs without their labels the calibration looked at, by where they are from."""
    used = {
        "test_rows": test_rows if calibration.transductive else 0,
        "rows_of_a_file": file_rows,
        "rows_of_a_file_with_test_inputs": in_file,
        "words_of_training_rows": calibration.needs.random_words,
    }
    return {name: count for name, count in used.items() if count}
