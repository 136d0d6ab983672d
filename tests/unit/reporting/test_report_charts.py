from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sft.reporting.html.charts.risk_coverage import risk_coverage
from sft.reporting.html.charts.training_log import training_curves
from sft.reporting.html.config_differences import config_differences, ranges
from sft.reporting.html.numbered import numbered
from sft.reporting.html.run_sections.base import ShownRun
from sft.reporting.html.run_sections.confusion import SHOWN_LABELS, confusion
from sft.reporting.html.shot_series import shot_series
from sft.reporting.table import report_table
from tests.unit.reporting.records_by_hand import finished, shots


def _bare(accuracy: float, **more: Any) -> Any:
    return finished(accuracy, config=shots(0, lora=None, training=None, **more), training=None)


def test_risk_is_the_share_of_errors_among_the_surest() -> None:
    confidence = np.array([0.9, 0.5, 0.9, 0.7])
    right = np.array([True, False, False, True])
    assert risk_coverage(confidence, right) == [(0.5, 0.5, 0.9), (0.75, 1 / 3, 0.7), (1.0, 0.5, 0.5)]


def test_a_curve_begins_at_the_bare_model_and_has_the_tables_intervals() -> None:
    records = [
        _bare(0.25),
        *(finished(0.5 + n / 100 + s / 10, seed=s, config=shots(n)) for n in (2, 8) for s in (1, 2)),
    ]
    table = report_table(records)
    series = {one.title: one for one in shot_series(table, "accuracy")}
    assert list(series) == ["lora", "zero", "majority class", "TF-IDF + LR"]
    points = series["lora"].points
    assert [(point.shots, point.runs) for point in points] == [(0, 1), (2, 2), (8, 2)]
    assert points[0].mean == 0.25
    means = [row.metrics["accuracy"] for row in table.configurations]
    assert [(point.mean, point.low, point.high) for point in points] == [(m.mean, m.low, m.high) for m in means]


def test_settings_other_than_shots_part_curves() -> None:
    records = [
        finished(0.5, config=shots(count, training={"trainer_args": {"learning_rate": rate}}))
        for count in (2, 8)
        for rate in (1e-3, 1e-4)
    ]
    titles = [one.title for one in shot_series(report_table(records), "accuracy") if not one.baseline]
    assert titles == ["learning rate 0.0001", "learning rate 0.001"]


def test_in_context_examples_that_grow_with_the_shots_are_one_curve() -> None:
    def icl(examples: int) -> Any:
        config = shots(0, lora=None, training=None, inference={"icl_examples": examples})
        return finished(0.5, config=config, training=None)

    series = [one for one in shot_series(report_table([_bare(0.25), icl(1), icl(4)]), "accuracy") if not one.baseline]
    assert [(one.title, [point.shots for point in one.points]) for one in series] == [
        ("icl", [0, 1, 4]),
        ("zero", [0]),
    ]


@pytest.mark.parametrize("counts", [[4], [None, 4]])
def test_one_number_of_shots_is_no_curve(counts: list[int | None]) -> None:
    assert shot_series(report_table([finished(0.5, config=shots(count)) for count in counts]), "accuracy") == []


def test_single_points_of_different_settings_are_no_curve() -> None:
    records = [
        finished(0.5, config=shots(count, training={"trainer_args": {"learning_rate": rate}}))
        for count, rate in ((2, 1e-3), (8, 1e-4))
    ]
    assert shot_series(report_table(records), "accuracy") == []


def test_long_training_logs_are_thinned_and_losses_come_first() -> None:
    log = [{"learning_rate": 1e-3, "loss": 1 / step, "step": step, "epoch": 0.1} for step in range(1, 1001)]
    chart = training_curves([*log, {"train_runtime": 3.0, "step": 1000}])
    assert chart is not None
    rows = [row for row in chart.spec["data"]["values"] if row["what"] == "loss"]
    assert len(rows) == 200
    assert (rows[0]["step"], rows[-1]["step"]) == (1, 1000)
    assert chart.spec["params"][0]["bind"]["options"] == ["loss", "learning_rate"]
    assert "200 of 1000" in chart.about


def test_a_log_of_one_step_is_no_curve() -> None:
    assert training_curves([{"loss": 1.0, "step": 1}]) is None


def _confusion(matrix: list[list[int]], labels: list[str], supports: list[int]) -> Any:
    per_class = [{"support": support} for support in supports]
    record = finished(0.5, results={"confusion_matrix": matrix, "per_class": per_class}, data={"labels": labels})
    section = confusion(ShownRun(1, None, record, None, None))  # type: ignore[arg-type]
    assert not isinstance(section, str)
    return section.values


def test_rates_count_answers_without_a_label() -> None:
    values = _confusion([[2, 1], [0, 3]], ["a", "b"], [4, 3])
    assert [cell.share for cell in values["rows"][0]] == [0.5, 0.25]
    assert values["unnamed"] == [1, 0]
    assert values["pairs"] == [("a", "b", 1)]


def test_of_many_labels_those_with_the_most_errors_are_shown() -> None:
    n = SHOWN_LABELS + 5
    matrix = np.eye(n, dtype=int) * 9
    matrix[n - 1, 3] = 7
    values = _confusion(matrix.tolist(), [str(i) for i in range(n)], matrix.sum(axis=1).tolist())
    assert values["left_out"] == 5
    assert {"3", str(n - 1)} <= set(values["labels"])
    assert values["labels"] == sorted(values["labels"], key=int)


def test_answers_that_are_not_shown_are_counted_together() -> None:
    """Each label of the first half is taken for one of the second, which the table leaves out."""
    n = 2 * SHOWN_LABELS
    matrix = np.eye(n, dtype=int) + 2 * np.eye(n, k=SHOWN_LABELS, dtype=int)
    values = _confusion(matrix.tolist(), [str(i) for i in range(n)], matrix.sum(axis=1).tolist())
    assert values["labels"] == [str(i) for i in range(SHOWN_LABELS)]
    assert values["others"] == [2] * SHOWN_LABELS
    assert _confusion([[2, 1], [0, 3]], ["a", "b"], [3, 3])["others"] is None


def test_config_differences_name_who_has_which_value() -> None:
    records = [_bare(0.25), *(finished(0.5, seed=10 * n + i, config=shots(n)) for n in (2, 8) for i in (1, 2))]
    rows = config_differences(numbered(report_table(records)), {record.folder_name: record for record in records})
    assert {row.value: row.configurations for row in rows if row.key == "dataset.shots"} == {
        "0": "#1",
        "2": "#2",
        "8": "#3",
    }
    assert {row.value: row.configurations for row in rows if row.key == "adapter.method"} == {"–": "#1", "lora": "#2–3"}
    assert not any("seed" in row.key for row in rows)


def test_numbers_are_written_as_ranges() -> None:
    assert ranges([1, 2, 3, 5, 7, 8]) == "#1–3, #5, #7–8"
