"""Folders of results → the table with intervals, tests and marks."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path

import pytest

from sft.api import aggregate_results, table_of
from sft.cli.show import print_table
from sft.errors import SftError
from sft.planned import Planned, write_plan
from sft.records import RECORD_FILE
from sft.reporting.csv import as_csv
from sft.reporting.find import find_results
from sft.reporting.latex import as_latex, latex_escape
from sft.reporting.markdown import as_markdown
from sft.reporting.rows import ConfigurationRow, ReportTable
from tests.fakes import make_config
from tests.unit.reporting.records_by_hand import shots
from tests.unit.reporting.runs_on_disk import write_run

REFERENCES = [0, 1, 2] * 20
GOOD = [0, 1, 2] * 18 + [0, 0, 0] * 2
ALSO_GOOD = [0, 0, 0] + [0, 1, 2] * 18 + [1, 1, 1]
BAD = [0] * 60


def table(results: Path) -> ReportTable:
    return table_of(find_results([results]))


def write_configuration(results: Path, n_shots: int, predictions: list[int], **more: object) -> None:
    for seed in range(5):
        write_run(results, REFERENCES, predictions, seed=seed, config=shots(n_shots), **more)


def by_shots(found: ReportTable) -> dict[int, ConfigurationRow]:
    return {row.settings["shots"]: row for row in found.configurations}


def test_the_best_is_marked_in_a_pipe_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_configuration(tmp_path, 4, BAD)
    write_configuration(tmp_path, 8, GOOD)
    print_table(table(tmp_path))
    assert f"**{56 / 60:.3f}" in capsys.readouterr().out


def test_the_best_is_marked_where_every_other_is_worse(tmp_path: Path) -> None:
    write_configuration(tmp_path, 4, BAD)
    write_configuration(tmp_path, 8, GOOD)
    found = table(tmp_path)
    rows = by_shots(found)
    assert rows[8].marks == {"accuracy": "best", "macro_f1": "best", "mcc": "best"}
    assert rows[4].marks == {}
    summary = rows[8].metrics["accuracy"]
    assert summary.interval_over == "seeds and test rows"
    assert summary.low is not None
    assert summary.low < summary.mean == 56 / 60
    assert not summary.few
    # The smallest p-value of 9,999 samples times four tests; no answer of either is invalid.
    assert {comparison.metric: comparison.p_holm for comparison in found.comparisons} == pytest.approx(
        {"accuracy": 4 * 2 / 10_000, "macro_f1": 4 * 2 / 10_000, "mcc": 4 * 2 / 10_000, "invalid_rate": 1.0}
    )
    assert "**0.933 ± 0.000**" in as_markdown(found)
    assert r"\textbf{0.933 $\pm$ 0.000}" in as_latex(found)


def test_those_not_shown_to_be_worse_are_tied_while_another_is(tmp_path: Path) -> None:
    write_configuration(tmp_path, 4, BAD)
    write_configuration(tmp_path, 8, GOOD)
    write_configuration(tmp_path, 16, ALSO_GOOD)
    rows = by_shots(table(tmp_path))
    assert (rows[8].marks["accuracy"], rows[16].marks["accuracy"]) == ("tied", "tied")
    assert "accuracy" not in rows[4].marks


def test_nothing_is_marked_where_no_difference_is_shown(tmp_path: Path) -> None:
    write_configuration(tmp_path, 8, GOOD)
    write_configuration(tmp_path, 16, ALSO_GOOD)
    found = table(tmp_path)
    assert not any(row.marks for row in found.configurations)
    assert "No mark: in no column is any configuration shown to be worse" in as_markdown(found)


def test_other_test_rows_are_not_ranked_against_these(tmp_path: Path) -> None:
    write_configuration(tmp_path, 4, BAD)
    write_configuration(tmp_path, 8, GOOD, first_row=100)
    found = table(tmp_path)
    assert not found.comparisons
    assert [row.settings["test rows"] for row in found.configurations] == ["60 (no. 1)", "60 (no. 2)"]
    assert any(note.startswith("Runs were judged on different test rows") for note in found.notes)


def test_rules_that_differ_for_one_model_are_not_ranked(tmp_path: Path) -> None:
    write_configuration(tmp_path, 4, BAD)
    write_configuration(tmp_path, 8, GOOD, inference={"method": "logits", "label_end": "none", "calibration": None})
    assert not table(tmp_path).comparisons


def test_changed_references_make_other_test_rows(tmp_path: Path) -> None:
    write_run(tmp_path, REFERENCES, GOOD, seed=1)
    write_run(tmp_path, [0] * 60, GOOD, seed=2)
    assert len(table(tmp_path).configurations) == 2


def test_a_broken_record_and_broken_items_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, REFERENCES, GOOD, seed=seed) for seed in range(4)]
    (folders[0] / RECORD_FILE).write_text('{"run_id": "x"')
    items = folders[1] / "items.jsonl"
    items.write_text(items.read_text()[:-30])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / RECORD_FILE).write_text('{"hello": 1}')
    found = table(tmp_path)
    (row,) = found.configurations
    assert list(row.seeds) == [1, 2, 3]
    assert row.metrics["accuracy"].interval_over == "seeds"
    for name in (folders[0].name, str(items), "foreign"):
        assert any(name in note for note in found.notes), name


def test_planned_runs_without_a_record_are_counted_as_missing(tmp_path: Path) -> None:
    write_run(tmp_path, REFERENCES, GOOD, seed=1, plan_id="one")
    planned = [
        Planned(name, name, make_config(seed=seed).model_dump(mode="json")) for seed, name in [(1, "one"), (2, "two")]
    ]
    other = make_config(**{"seed": 1, **shots(64)}).model_dump(mode="json")
    write_plan(tmp_path, [*planned, Planned("three", "three", other)])
    rows = by_shots(table(tmp_path))
    assert (rows[2].missing, list(rows[2].seeds)) == (1, [1])
    assert (rows[64].missing, list(rows[64].seeds)) == (1, [])


def test_all_formats_are_written_and_the_csv_has_every_digit(tmp_path: Path) -> None:
    write_configuration(tmp_path, 8, GOOD)
    done = aggregate_results([tmp_path])
    assert {file.name for file in done.files} == {f"aggregated_results.{kind}" for kind in ("json", "md", "csv", "tex")}
    assert all(file.stat().st_size for file in done.files)
    (row,) = csv.DictReader(io.StringIO(as_csv(done.table)))
    assert float(row["accuracy mean"]) == 56 / 60
    assert row["seeds"] == "0 1 2 3 4"
    (only,) = aggregate_results([tmp_path], out=tmp_path / "new", formats=["tex"]).files
    assert only == tmp_path / "new" / "aggregated_results.tex"


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    write_configuration(tmp_path, 8, GOOD)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SftError, match="file/paper: can't be written: Not a directory"):
        aggregate_results([tmp_path], out=tmp_path / "file" / "paper")


def test_what_latex_reads_as_commands_is_escaped(tmp_path: Path) -> None:
    assert latex_escape("a_b & 5 % {x} $y$ \\z #1 ~^") == (
        r"a\_b \& 5 \% \{x\} \$y\$ \textbackslash{}z \#1 \textasciitilde{}\textasciicircum{}"
    )


def test_variance_is_split_where_seeds_were_varied_apart(tmp_path: Path) -> None:
    for data_seed in range(3):
        for train_seed in range(3):
            predictions = [*GOOD[: 60 - 6 * data_seed], *[0] * (6 * data_seed)]
            write_run(tmp_path, REFERENCES, predictions, config={"data_seed": data_seed, "train_seed": train_seed})
    found = table(tmp_path)
    (row,) = found.configurations
    # Training seeds change nothing here.
    means = [sum(p == r for p, r in zip([*GOOD[: 60 - k], *[0] * k], REFERENCES, strict=True)) / 60 for k in (0, 6, 12)]
    split = row.variance["accuracy"]
    assert split["subset"] == pytest.approx(statistics.variance(means))
    assert split["initialisation"] == pytest.approx(0, abs=1e-12)
    expected = statistics.fmean(mean * (1 - mean) / 60 for mean in means)
    assert split["test rows"] == pytest.approx(expected, rel=0.1)
    assert "## Where the variance comes from" in as_markdown(found)


def test_mistakes_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path, REFERENCES, GOOD)
    with pytest.raises(SftError, match="no such folder"):
        aggregate_results([tmp_path / "nothing"])
    with pytest.raises(SftError, match="a single run"):
        aggregate_results([folder])
    with pytest.raises(SftError, match="unknown format 'pdf'"):
        aggregate_results([tmp_path], formats=["pdf"])
