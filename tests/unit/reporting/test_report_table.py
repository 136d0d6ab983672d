"""Records → one row per run and one per configuration over its seeds."""

from __future__ import annotations

from typing import Any

import pytest

from sft.reporting.columns import configuration_cells, headline_metrics, run_cells, show, show_spread
from sft.reporting.rows import ReportTable, Summary
from sft.reporting.table import report_table
from tests.unit.reporting.records_by_hand import failed, finished, shots


def cells(table: ReportTable) -> list[dict[str, str]]:
    """The rows of the table of configurations, by column."""
    header, rows = configuration_cells(table)
    return [dict(zip(header, (cell.text for cell in row), strict=True)) for row in rows]


def figures(summary: Summary) -> tuple[float, float | None, int]:
    return summary.mean, summary.sd, summary.n


def summary(mean: float, sd: float | None) -> Summary:
    return Summary(mean, sd, 3, mean, mean, mean)


def test_trainings_by_several_processes_are_a_configuration_of_their_own() -> None:
    one = [finished(0.5, seed=seed, training={"loss": 0.5, "processes": 1}) for seed in (1, 2)]
    two = [finished(1.0, seed=seed, training={"loss": 0.5, "processes": 2}) for seed in (1, 2)]
    untrained = finished(0.25, config=shots(0))
    table = report_table([*one, *two, untrained, finished(0.75, seed=3)])  # the last, of an older version, says nothing
    assert [(row.metrics["accuracy"].mean, row.metrics["accuracy"].n) for row in table.configurations] == [
        (0.25, 1),
        (pytest.approx(1.75 / 3), 3),
        (1.0, 2),
    ]
    assert [row.get("processes") for row in cells(table)] == ["–", "–", "2"]


def test_a_configuration_is_the_mean_and_standard_deviation_over_its_seeds() -> None:
    table = report_table([finished(0.5, seed=1), finished(0.75, seed=2), finished(1.0, seed=3)])
    (row,) = table.configurations
    assert row.seeds == [1, 2, 3]
    assert row.failed == 0
    # Sample standard deviation by hand: sqrt((0.0625 + 0 + 0.0625) / 2).
    assert figures(row.metrics["accuracy"]) == (0.75, 0.25, 3)
    assert figures(row.metrics["macro_f1"]) == (0.375, 0.125, 3)
    assert figures(row.baselines["majority"]["accuracy"]) == (0.25, 0.0, 3)
    assert figures(row.baselines["tfidf_logistic_regression"]["accuracy"]) == (0.625, 0.25, 3)
    assert (row.metrics["accuracy"].median, row.metrics["accuracy"].q25, row.metrics["accuracy"].q75) == (
        0.75,
        0.625,
        0.875,
    )
    assert cells(table) == [
        {
            "seeds": "3 (few)",
            "accuracy": "0.750 ± 0.250",
            "macro_f1": "0.375 ± 0.125",
            "accuracy of majority class": "0.250 ± 0.000",
            "accuracy of TF-IDF + LR": "0.625 ± 0.250",
        }
    ]


def test_one_seed_has_no_standard_deviation() -> None:
    table = report_table([finished(0.5)])
    assert figures(table.configurations[0].metrics["accuracy"]) == (0.5, None, 1)
    assert table.configurations[0].metrics["accuracy"].low is None
    assert cells(table)[0]["accuracy"] == "0.500"


def test_configurations_are_told_apart_by_the_settings_that_vary() -> None:
    records = [finished(0.1 * n, seed=s, config=shots(n)) for n in (16, 4, 0) for s in (1, 2)]
    table = report_table(records)
    assert list(table.varying) == ["shots", "adapter"]
    assert [row["shots"] for row in cells(table)] == ["0", "4", "16"]
    assert [row["adapter"] for row in cells(table)] == ["–", "lora", "lora"]
    assert table.constant["dataset"] == "no-such-data"
    assert "shots" not in table.constant


# Pairs of configurations with the same usual settings, and the column that tells them apart.
TWINS: list[tuple[dict[str, Any], dict[str, Any], str, list[str]]] = [
    (
        {"prompting": {"input_columns": ["text"], "output_column": "label", "instruction": "Decide."}},
        {"prompting": {"input_columns": ["text"], "output_column": "label", "instruction": "Please decide."}},
        "prompting.instruction",
        ["Decide.", "Please decide."],
    ),
    ({"inference": {"label_end": "eot"}}, {"inference": {"label_end": "none"}}, "inference.label_end", ["eot", "none"]),
    (
        {"training": {"trainer_args": {"weight_decay": 0.5}}},
        {"training": {"trainer_args": {}}},
        "training.trainer_args.weight_decay",
        ["–", "0.5"],
    ),
]


@pytest.mark.parametrize(("first", "second", "column", "values"), TWINS, ids=[column for _, _, column, _ in TWINS])
def test_configurations_that_differ_in_an_unusual_key_get_a_column_for_it(
    first: dict[str, Any], second: dict[str, Any], column: str, values: list[str]
) -> None:
    table = report_table([finished(0.5, config=first, seed=1), finished(0.5, config=second, seed=2)])
    assert list(table.varying) == [column]
    assert [row[column] for row in cells(table)] == values


def test_normalisation_and_calibration_have_columns() -> None:
    choices: list[dict[str, Any]] = [
        {},
        {"score_normalization": "pmi"},
        {"score_normalization": "pmi", "calibration": {"method": "batch"}},
    ]
    table = report_table([finished(0.5, config={"inference": inference}) for inference in choices])
    assert list(table.varying) == ["normalization", "calibration"]
    assert [(row["normalization"], row["calibration"]) for row in cells(table)] == [
        ("–", "–"),
        ("pmi", "–"),
        ("pmi", "batch"),
    ]


def test_usual_settings_that_differ_need_no_further_column() -> None:
    """Many keys differ between 4 and 8 shots with other output folders; the number of shots says it all."""
    decay = {"training": {"trainer_args": {"weight_decay": 0.5}}}
    table = report_table([finished(0.5, config=shots(4)), finished(0.5, config=shots(8, **decay))])
    assert "training.trainer_args.weight_decay" not in table.varying


def test_a_zero_shot_run_that_failed_shows_no_settings_of_training() -> None:
    table = report_table([failed("no memory", **shots(0)), finished(0.5, config=shots(4))])
    assert [row["adapter"] for row in cells(table)] == ["–", "lora"]


def test_trained_untrained_and_adapter_runs_of_one_config_are_three_configurations() -> None:
    """`evaluate` of the bare model, `run-experiment`, and `evaluate --checkpoint`, all with the same file."""
    bare = finished(0.25, training=None)
    adapter = finished(0.5, training=None, model={"base": "some/model", "adapter": "outputs/a"})
    table = report_table([bare, finished(0.75), adapter])
    assert {row["accuracy"] for row in cells(table)} == {"0.250", "0.500", "0.750"}
    assert {(row["adapter"], row["checkpoint"]) for row in cells(table)} == {
        ("–", "–"),
        ("lora", "–"),
        ("–", "outputs/a"),
    }
    assert table.constant["learning rate"] == 1e-3


def test_settings_that_only_trained_runs_have_are_constant_where_those_agree() -> None:
    table = report_table([finished(0.1, config=shots(0)), finished(0.2, config=shots(4))])
    assert table.constant["learning rate"] == 1e-3
    assert table.constant["lora r"] == 4
    differing = [finished(0.1, config=shots(4, lora={"r": r})) for r in (4, 8)]
    assert list(report_table([finished(0.1, config=shots(0)), *differing]).varying) == ["shots", "adapter", "lora r"]


def test_every_setting_that_the_issue_names_is_there() -> None:
    sections: dict[str, Any] = {
        "training": {"icl_examples": 1, "trainer_args": {"learning_rate": 0.01, "max_length": 99}},
        "inference": {"icl_examples": 2, "max_seq_length": 77},
        "prompting": {
            "input_columns": ["text"],
            "output_column": "label",
            "max_input_length": 55,
            "max_output_length": 5,
        },
    }
    (row,) = report_table([finished(0.5, config=sections)]).runs
    expected = {
        "dataset": "no-such-data",
        "model": "no-such-model",
        "task": "classification",
        "shots": 2,
        "ICE training": 1,
        "ICE inference": 2,
        "max input length": 55,
        "max output length": 5,
        "max training length": 99,
        "max inference length": 77,
        "lora r": 4,
        "learning rate": 0.01,
    }
    assert {name: row.settings[name] for name in expected} == expected


def test_what_each_run_selects_is_called_selected() -> None:
    """Seeds may choose differently, and are one configuration all the same."""
    training = {"trainer_args": {"num_train_epochs": 3}, "select": {"grid": {"learning_rate": [0.1, 0.2]}}}
    runs = [finished(0.5, config=shots(4, training=training), seed=seed) for seed in (1, 2)]
    assert report_table(runs).constant["learning rate"] == "selected"
    assert report_table(runs).constant["epochs"] == 3
    both = report_table([*runs, finished(0.5, config=shots(4))])
    assert [row["learning rate"] for row in cells(both)] == ["0.001", "selected"]


def test_all_shots_are_called_all_and_sort_after_numbers() -> None:
    table = report_table([finished(0.5, config=shots(None)), finished(0.5, config=shots(16))])
    assert [row["shots"] for row in cells(table)] == ["16", "all"]


def test_a_failed_run_is_counted_shown_and_left_out_of_the_mean() -> None:
    table = report_table([finished(0.5, seed=1), failed("no memory", seed=2), finished(1.0, seed=3)])
    (row,) = table.configurations
    assert row.seeds == [1, 3]
    assert row.failed == 1
    assert row.metrics["accuracy"].mean == 0.75
    assert cells(table)[0]["seeds"] == "2 (few, 1 failed)"
    header, rows = run_cells(table)
    shown = {line[header.index("seed")].text: line[header.index("seconds")].text for line in rows}
    assert shown == {"1": "12", "2": "failed", "3": "12"}


def test_a_configuration_of_which_every_run_failed_is_shown_without_numbers() -> None:
    table = report_table([finished(0.5, config=shots(4)), failed("no memory", **shots(8))])
    assert [(row["shots"], row["seeds"], row["accuracy"]) for row in cells(table)] == [
        ("4", "1 (few)", "0.500"),
        ("8", "0 (1 failed)", "–"),
    ]


def test_only_failed_runs_and_no_runs_at_all_make_a_table_too() -> None:
    table = report_table([failed("no memory")])
    assert cells(table) == [{"seeds": "0 (1 failed)"}]
    assert table.notes == ["Failed runs: 1. Means are over the others."]
    assert report_table([]) == ReportTable([], [], [], {}, [], comparisons=[])


def test_a_metric_that_some_seeds_lack_is_averaged_over_the_others() -> None:
    """NaN is null in a record: such a seed has no value, which is not the value 0."""
    table = report_table(
        [finished(0.5, seed=1), finished(0.5, seed=2, results={"accuracy": 1.0, "macro_f1": None, "flag": True})]
    )
    metrics = table.configurations[0].metrics
    assert figures(metrics["accuracy"]) == (0.75, pytest.approx(0.5 / 2**0.5), 2)
    assert figures(metrics["macro_f1"]) == (0.25, None, 1)
    assert "flag" not in metrics
    assert "per_class" not in metrics


def test_runs_are_listed_by_setting_and_seed() -> None:
    records = [finished(0.5, seed=s, config=shots(n), name=f"{n}/{s}") for n, s in [(8, 2), (4, 9), (8, 1), (4, 10)]]
    assert [row.name for row in report_table(records).runs] == ["4/9", "4/10", "8/1", "8/2"]


# (two records, the start of the note that they call for)
MIXED_ENDS = [finished(0.5, seed=1), finished(0.5, seed=2, inference={"label_end": "none"})]
OTHER_ROWS = [finished(0.5, seed=1), finished(0.5, seed=2, data={"test_row_numbers": [4]})]
TRANSDUCTIVE = [
    finished(0.5, seed=seed, inference={"calibration": {"method": method, "transductive": transductive}})
    for seed, (method, transductive) in enumerate(
        [("batch", True), ("contextual", False), ("batch", True), ("another", True)]
    )
]
NOTES = [
    (MIXED_ENDS, "Runs of some/model score labels by different rules (label_end: eot, none)"),
    (OTHER_ROWS, "Runs were judged on different test rows"),
    (TRANSDUCTIVE, "Transductive calibration (another, batch) used the unlabelled test inputs together"),
    ([finished(0.5, seed=s) for s in range(4)], "Fewer than 5 seeds"),
]


@pytest.mark.parametrize(("records", "note"), NOTES, ids=[note for _, note in NOTES])
def test_a_reader_is_told_what_limits_a_comparison(records: list[Any], note: str) -> None:
    assert [text for text in report_table(records).notes if text.startswith(note)]


def test_five_seeds_alike_call_for_no_note() -> None:
    assert report_table([finished(0.5, seed=s) for s in range(5)]).notes == []
    # Different rules for different models are no mixture.
    other = finished(0.5, seed=9, model={"base": "other"}, inference={"label_end": "none"})
    assert report_table([*(finished(0.5, seed=s) for s in range(5)), other]).notes == []


def test_unusual_metrics_are_shown_where_there_is_no_usual_one() -> None:
    assert headline_metrics(report_table([finished(0, results={"wer": 0.5, "cer": 0.25})])) == ["wer", "cer"]
    assert headline_metrics(report_table([finished(0, results={"wer": 0.5, "chrf": 1, "bleu": 2})])) == ["bleu", "chrf"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1e-4, "0.0001"), (2.0, "2"), (3, "3"), ("x", "x"), (["q", "v"], '["q", "v"]'), (True, "True")],
)
def test_a_setting_is_shown_shortly(value: Any, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (summary(0.12345, None), "0.123"),
        (summary(0.5, 0.0625), "0.500 ± 0.062"),
        (summary(43.21, 1.5), "43.2 ± 1.500"),
    ],
)
def test_a_spread_is_shown_as_mean_and_standard_deviation(value: Summary | None, text: str) -> None:
    assert show_spread(value) == text
