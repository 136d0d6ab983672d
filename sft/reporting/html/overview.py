"""What the page says of all runs together, in tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sft.config.secrets import without_secrets
from sft.records import RunRecord
from sft.reporting.columns import Cell, configuration_cells, number, run_cells
from sft.reporting.html.numbered import Numbered
from sft.reporting.rows import ReportTable

MOST_ROWS = 2_000
_MOST_ERROR_CHARACTERS = 8_000
_MOST_ERRORS = 100
_CONFIG_BYTES = 400_000
_GIB = 2**30


class TextTable(NamedTuple):
    """left_out: rows that there is no room for."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left_out: int = 0


class Failure(NamedTuple):
    name: str
    first_line: str
    whole: str


class WholeConfig(NamedTuple):
    """text: JSON."""

    label: str
    text: str


def leaderboard(table: ReportTable) -> TextTable:
    """The table of `sft results aggregate`, its rows numbered."""
    header, rows = configuration_cells(table)
    return _table(["#", *header], [[Cell(f"#{i}"), *cells] for i, cells in enumerate(rows, start=1)])


def tests(table: ReportTable) -> TextTable:
    """Every configuration against the best one on its test rows, as the marks of the leaderboard have it."""
    header = ["metric", "best", "other", "difference", "p", "p (Holm)", "significant"]
    rows = []
    for test in table.comparisons:
        difference = Cell(f"{test.difference:+.3f}", f"[{number(test.low)}, {number(test.high)}]")
        names = (test.metric, f"#{test.best + 1}", f"#{test.other + 1}")
        significant = "yes" if test.p_holm < 0.05 else "no"
        texts = (f"{test.p:.3g}", f"{test.p_holm:.3g}", significant)
        rows.append([*map(Cell, names), difference, *map(Cell, texts)])
    return _table(header, rows)


def run_table(table: ReportTable) -> TextTable:
    header, rows = run_cells(table)
    return _table(header, rows)


def costs(table: ReportTable, records: Mapping[str, RunRecord]) -> TextTable:
    """Time and memory of every finished run. records: by `RunRecord.folder_name`."""
    header = ["run", "seconds", "training", "inference", "training tokens/s", "memory (GiB)", "GPU memory (GiB)"]
    finished = [run for run in table.runs if run.status == "completed"]
    rows = [[run.name or run.folder, *_cost(records[run.folder])] for run in finished]
    return _table(header, [list(map(Cell, row)) for row in rows])


def failures(table: ReportTable) -> tuple[list[Failure], int]:
    """Failed runs with their errors, and how many more there are."""
    failed = [run for run in table.runs if run.status == "failed"]
    shown = []
    for run in failed[:_MOST_ERRORS]:
        error = (run.error or "no message").strip()
        tail = (
            error if len(error) <= _MOST_ERROR_CHARACTERS else f"[beginning left out] {error[-_MOST_ERROR_CHARACTERS:]}"
        )
        shown.append(Failure(run.name or run.folder, error.split("\n")[0], tail))
    return shown, len(failed) - len(shown)


def whole_configs(
    configurations: Sequence[Numbered], records: Mapping[str, RunRecord]
) -> tuple[list[WholeConfig], int]:
    """The config of the first run of each configuration, while there is room; and how many are left out.

    Access tokens aren't shown.
    """
    found: list[WholeConfig] = []
    room = _CONFIG_BYTES
    with_runs = [one for one in configurations if one.runs]
    for one in with_runs:
        text = json.dumps(without_secrets(records[one.runs[0].folder].config), indent=2, ensure_ascii=False)
        room -= len(text.encode())
        if room < 0:
            break
        found.append(WholeConfig(one.label, text))
    return found, len(with_runs) - len(found)


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> TextTable:
    return TextTable(header, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


def _cost(record: RunRecord) -> list[str]:
    timings, training = record.timings, record.training or {}
    memory = record.resources.get("peak_memory") or {}
    process = memory.get("process", memory.get("process_since_start"))
    return [
        *(number(timings.get(stage)) for stage in ("total", "training", "inference")),
        number(_tokens_per_second(training)),
        number(None if process is None else process / _GIB),
        number(max(memory.get("gpus") or [0]) / _GIB or None),
    ]


def _tokens_per_second(training: Mapping[str, Any]) -> float | None:
    """Of the rows' tokens, padding not counted."""
    if not training.get("seconds"):
        return None
    return float(training.get("tokens", 0) * training.get("epochs", 0) / training["seconds"])
