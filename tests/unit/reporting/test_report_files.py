"""The table as Markdown and as JSON."""

from __future__ import annotations

import json
import re

from sft.reporting.json import as_json
from sft.reporting.markdown import as_markdown
from sft.reporting.table import report_table
from tests.unit.reporting.records_by_hand import failed, finished, shots

RECORDS = [finished(0.5 + n / 100, seed=s, config=shots(n), name=f"{n} shots, {s}") for n in (0, 8) for s in (1, 2)]
HOSTILE = "a|b <script> *x* `y` \\ end\nof line"


def grids(markdown: str) -> list[list[list[str]]]:
    """The tables of a Markdown text as lists of rows of cells, read by the rules of GitHub's Markdown."""
    blocks = [block for block in markdown.split("\n\n") if block.startswith("|")]
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.strip().split("\n")
            if not line.startswith("| ---")
        ]
        for block in blocks
    ]


def test_markdown_shows_configurations_then_runs() -> None:
    configurations, runs = grids(as_markdown(report_table(RECORDS)))
    assert configurations[0][:4] == ["shots", "adapter", "seeds", "accuracy"]
    assert [row[:4] for row in configurations[1:]] == [
        ["0", "–", "any", "0.500"],
        ["8", "lora", "2 (few)", "0.580 ± 0.000 [0.580, 0.580]ˢ"],
    ]
    assert [row[0] for row in runs[1:]] == ["0 shots, 1", "0 shots, 2", "8 shots, 1", "8 shots, 2"]


def test_markdown_tells_what_is_in_common_and_what_limits_the_comparison() -> None:
    text = as_markdown(report_table(RECORDS))
    assert "In common: dataset: no-such-data; model: no-such-model; task: classification;" in text
    assert "> Fewer than 5 seeds" in text
    assert "Failed runs" not in text


def test_every_row_has_the_cells_of_its_header_whatever_texts_hold() -> None:
    sections = {"model": {"name": HOSTILE}, "lora": {"target_modules": "x|y"}}
    records = [*RECORDS, finished(0.5, config=sections, name=HOSTILE), failed(HOSTILE, seed=3, name=HOSTILE)]
    text = as_markdown(report_table(records), title="T")
    for grid in grids(text):
        assert len({len(row) for row in grid}) == 1
    assert not re.search(r"(?<!\\)[<`*]", text.replace("**", ""))
    assert "a\\|b \\<script\\> \\*x\\* \\`y\\` \\\\ end of line" in text


def test_failed_runs_are_listed_with_the_first_line_of_their_error() -> None:
    text = as_markdown(report_table([*RECORDS, failed("out of memory\nTraceback …", seed=3, name="the large one")]))
    assert text.endswith("## Failed runs\n\n- **the large one**: out of memory\n")


def test_no_runs_make_a_readable_file_too() -> None:
    assert as_markdown(report_table([])).startswith("# Results\n")


def test_json_holds_every_scalar_of_every_run() -> None:
    table = report_table([*RECORDS, failed("out of memory", seed=3, **shots(8))])
    value = json.loads(json.dumps(as_json(table), allow_nan=False))
    assert value.keys() == {
        *("configurations", "runs", "settings_that_vary", "settings_in_common", "notes"),
        *("comparisons", "resamples"),
    }
    first = value["runs"][0]
    assert first["metrics"] == {"accuracy": 0.5, "macro_f1": 0.25, "n": 3.0}
    assert first["settings"]["shots"] == 0
    assert first["name"] == "0 shots, 1"
    assert [run["error"] for run in value["runs"] if run["status"] == "failed"] == ["out of memory"]
    assert value["configurations"][1]["metrics"]["accuracy"] == {
        "mean": 0.58,
        "sd": 0.0,
        "n": 2,
        "median": 0.58,
        "q25": 0.58,
        "q75": 0.58,
        "low": 0.58,
        "high": 0.58,
        "interval_over": "seeds",
        "few": True,
    }
    assert value["settings_that_vary"] == ["shots", "adapter"]
    assert value["settings_in_common"]["model"] == "no-such-model"
