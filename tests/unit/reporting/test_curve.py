"""Learning curves from records: points, baselines, tests, sentences, files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from sft.errors import MissingPackageError, SftError
from sft.evaluation.outcome import ClassificationOutcome
from sft.evaluation.resampling import JudgedRun, judge
from sft.records import RunRecord
from sft.reporting import curve_plot
from sft.reporting.curve import learning_curve
from sft.reporting.curve_markdown import curve_as_markdown
from sft.reporting.curve_plot import curve_pictures
from sft.reporting.curve_points import LearningCurve
from tests.fakes import config_value
from tests.unit.reporting.records_by_hand import failed, finished

N = 200
LABELS = ("a", "b")
TRUTH = np.tile([0, 1], N // 2)

Judged = dict[str, JudgedRun]


def answers_right(right: float) -> np.ndarray[Any, Any]:
    """Predictions of which so large a share is right: the first rows. What is right on fewer rows is nested."""
    return np.where(np.arange(N) < round(right * N), TRUTH, 1 - TRUTH)


def sections(method: str, shots: int) -> dict[str, Any]:
    trains = method.startswith("lora")
    examples = min(shots, 4) if method.endswith("icl") else 0
    return {
        "dataset": {**config_value()["dataset"], "shots": shots if trains else 0},
        "inference": {"icl_examples": examples},
    }


def run(method: str, shots: int, right: float, *, seed: int = 13, baseline: float | None = None) -> RunRecord:
    """baseline: the share of rows that TF-IDF + logistic regression has right."""
    baselines: dict[str, Any] = {"majority": {"accuracy": 0.5}}
    if baseline is not None:
        predictions = answers_right(baseline).tolist()
        baselines["tfidf_logistic_regression"] = {"accuracy": baseline, "predictions": predictions}
    record = finished(
        0.0,
        seed=seed,
        config=sections(method, shots),
        results={"accuracy": right},
        baselines=baselines,
        counts={"label_budget": dict.fromkeys(LABELS, shots)},
        data={
            "test_row_numbers": list(range(N)),
            "pool_row_numbers": [seed * 1000 + i for i in range(2 * shots)],
            "labels": list(LABELS),
        },
    )
    return replace(record, slug=f"{method}-{shots}")


def judged_of(records: Sequence[RunRecord]) -> Judged:
    return {
        record.folder_name: judge(
            ClassificationOutcome(LABELS, TRUTH, answers_right(record.results["accuracy"])),
            ["accuracy"],
            {},
            record.results,
        )
        for record in records
        if record.status == "completed"
    }


def curve_of(records: Sequence[RunRecord], **arguments: Any) -> LearningCurve:
    return learning_curve(records, judged_of(records), **arguments)


SEEDS = range(13, 18)
RUNS = [
    run("zero", 0, 0.5),
    *(run("icl", 4, 0.55, seed=seed, baseline=0.6) for seed in SEEDS),
    *(run("lora", 4, 0.62, seed=seed, baseline=0.6) for seed in SEEDS),
    *(run("lora", 16, 0.9, seed=seed, baseline=0.7) for seed in SEEDS),
    *(run("lora", 64, 0.9, seed=seed, baseline=0.8) for seed in SEEDS),
]


@pytest.fixture(scope="module")
def curve() -> LearningCurve:
    return curve_of(RUNS)


def test_every_method_and_baseline_has_its_points_by_labels_used_in_all(curve: LearningCurve) -> None:
    have = {series.title: [(p.shots, p.labels, p.mean) for p in series.points] for series in curve.series}
    assert have == {
        "zero": [(0, 0, 0.5)],
        "icl": [(4, 8, pytest.approx(0.55))],
        "lora": [(4, 8, pytest.approx(0.62)), (16, 32, pytest.approx(0.9)), (64, 128, pytest.approx(0.9))],
        "majority class": [(0, 0, 0.5), (4, 8, 0.5), (16, 32, 0.5), (64, 128, 0.5)],
        "TF-IDF + LR": [(4, 8, 0.6), (16, 32, 0.7), (64, 128, 0.8)],
    }
    assert [series.title for series in curve.series if series.baseline] == list(have)[3:]


def test_intervals_are_those_of_a_binomial_where_seeds_agree(curve: LearningCurve) -> None:
    """The standard error of a share is sqrt(p (1 - p) / n)."""
    points = [p for series in curve.series for p in series.points if series.title != "majority class"]
    for point in points:
        error = np.sqrt(point.mean * (1 - point.mean) / N)
        assert point.low == pytest.approx(point.mean - 1.96 * error, abs=0.01)
        assert point.high == pytest.approx(point.mean + 1.96 * error, abs=0.01)


def test_each_point_is_tested_against_the_best_baseline_on_as_many_labels(curve: LearningCurve) -> None:
    tests = {(t.series, t.shots): t for t in curve.tests if t.question == "above the best baseline"}
    assert {key: (t.against, round(t.difference, 3), t.significant) for key, t in tests.items()} == {
        ("zero", 0): ("majority class", 0.0, False),
        ("icl", 4): ("TF-IDF + LR", -0.05, False),
        ("lora", 4): ("TF-IDF + LR", 0.02, False),
        ("lora", 16): ("TF-IDF + LR", 0.2, True),
        ("lora", 64): ("TF-IDF + LR", 0.1, True),
    }
    # Nested answers differ on the same rows only: the interval of the difference is narrower than of unpaired ones.
    paired = tests["lora", 64]
    assert paired.high - paired.low == pytest.approx(2 * 1.96 * np.sqrt(0.1 * 0.9 / N), abs=0.01)
    assert all(t.p_holm >= t.p for t in tests.values())


def test_each_point_is_tested_against_the_largest_of_its_curve(curve: LearningCurve) -> None:
    """The bare model is where every curve begins. Equal answers differ by nothing, though each has an interval."""
    tests = {(t.series, t.shots): t for t in curve.tests if t.question == "below its largest"}
    assert {key: t.significant for key, t in tests.items()} == {
        ("icl", 0): True,
        ("lora", 0): True,
        ("lora", 4): True,
        ("lora", 16): False,
    }
    same = tests["lora", 16]
    assert (same.difference, same.low, same.high) == (pytest.approx(0), pytest.approx(0), pytest.approx(0))


def test_the_answers_name_the_fewest_labels(curve: LearningCurve) -> None:
    lora = [answer for answer in curve.answers if answer.startswith("lora")]
    assert "significantly better than the best baseline are 32 labels (16 of each): +0.200" in lora[0]
    assert "isn't significantly worse than with the most tried are 32 labels (16 of each)" in lora[1]
    (zero,) = [answer for answer in curve.answers if answer.startswith("zero")]
    assert "the evidence doesn't show that it is better than the best baseline" in zero


def test_where_it_does_not_stay_better_that_is_said() -> None:
    records = [run("lora", 4, 0.9, seed=s, baseline=0.6) for s in SEEDS]
    records += [run("lora", 16, 0.9, seed=s, baseline=0.9) for s in SEEDS]
    answers = curve_of(records).answers
    assert "are 8 labels (4 of each)" in answers[0]
    assert answers[0].endswith("Not so with 32.")


def test_a_curve_that_still_rises_is_not_said_to_have_enough() -> None:
    records = [run("lora", n, right, seed=s) for n, right in ((4, 0.5), (16, 0.9)) for s in SEEDS]
    answer = curve_of(records).answers[-1]
    assert "every smaller number of labels tried is significantly worse" in answer
    assert "may help further" in answer


def test_the_spread_of_seeds_widens_the_interval() -> None:
    steady = [run("lora", 4, 0.7, seed=s) for s in SEEDS]
    varying = [run("lora", 4, right, seed=s) for s, right in zip(SEEDS, (0.4, 0.55, 0.7, 0.85, 1.0), strict=True)]
    widths = []
    for records in (steady, varying):
        (point,) = next(series for series in curve_of(records).series if not series.baseline).points
        assert point.low is not None
        assert point.high is not None
        widths.append(point.high - point.low)
    assert widths[1] > 1.5 * widths[0]


def test_runs_that_failed_are_counted_and_told() -> None:
    broken = replace(failed("out of memory", seed=99, **sections("lora", 4)), slug="broken")
    whole = replace(failed("out of memory", seed=13, **sections("lora", 64)), slug="whole")
    curve = curve_of([run("lora", 4, 0.7, seed=s) for s in (13, 14)] + [broken, whole])
    assert [series.points[0].failed for series in curve.series if not series.baseline] == [1]
    assert "Every run failed of: lora, 64 shots." in curve.notes
    assert "1 failed runs are left out of means." in curve.notes
    assert any(note.startswith("Fewer than 5 seeds") for note in curve.notes)


def test_without_readable_items_there_are_means_and_no_tests() -> None:
    curve = learning_curve(RUNS, {})
    assert curve.tests == []
    assert curve.answers == []
    assert any(note.startswith("No tests") for note in curve.notes)
    assert next(s for s in curve.series if s.title == "lora").points[1].mean == pytest.approx(0.9)


def test_a_task_without_baselines_is_compared_with_the_bare_model() -> None:
    records = [replace(record, baselines={}) for record in RUNS]
    curve = curve_of(records)
    above = {(t.series, t.shots): t for t in curve.tests if t.question == "above the best baseline"}
    assert {t.against for t in above.values()} == {"zero"}
    assert ("zero", 0) not in above
    assert any("significantly better than zero-shot are 8 labels" in answer for answer in curve.answers)


def test_a_metric_that_runs_lack_is_refused_with_those_they_have() -> None:
    with pytest.raises(SftError, match="no result 'bleu'\n  fix: known: accuracy"):
        curve_of(RUNS, metric="bleu")


def test_runs_on_other_test_rows_are_refused() -> None:
    other = run("lora", 16, 0.9)
    other.data["test_row_numbers"] = list(range(1, N + 1))
    with pytest.raises(SftError, match="different test rows"):
        curve_of([run("lora", 4, 0.7), other])


def test_a_curve_without_any_finished_run_is_refused() -> None:
    with pytest.raises(SftError, match="no run of the curve finished"):
        curve_of([failed("x")])


def test_the_markdown_has_answers_numbers_notes_and_tests(curve: LearningCurve) -> None:
    text = curve_as_markdown(replace(curve, notes=["Mind the gap."]), "curve.svg")
    assert "![accuracy by number of labels](curve.svg)" in text
    row = next(line for line in text.splitlines() if line.startswith("| 32 | 16 |"))
    assert row.split(" | ")[2:4] == ["–", "–"]
    assert "0.900 [" in row
    assert "> Mind the gap." in text
    assert text.count("above the best baseline?") == 5


def test_the_curve_is_plain_values(curve: LearningCurve) -> None:
    assert json.loads(json.dumps(asdict(curve)))["series"][2]["points"][1]["labels"] == 32


def test_the_picture_shows_every_curve_and_number_of_labels_and_is_the_same_twice(curve: LearningCurve) -> None:
    pytest.importorskip("matplotlib")
    pictures = curve_pictures(curve)
    svg = pictures["svg"].decode()
    assert pictures["png"].startswith(b"\x89PNG")
    assert pictures == curve_pictures(curve)
    for text in (*(series.title for series in curve.series), "128", "64", "labels used in all", "accuracy"):
        assert f">{text}<" in svg


def test_without_matplotlib_the_message_says_what_to_install(
    curve: LearningCurve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve_plot, "can_plot", lambda: False)
    with pytest.raises(MissingPackageError, match=r"matplotlib.*\n  fix: pip install 'supervised-finetuning\[plots\]'"):
        curve_pictures(curve)
