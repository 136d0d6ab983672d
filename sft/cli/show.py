"""Results as a terminal shows them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sft.experiments.schedule import Schedule
    from sft.records import RunRecord
    from sft.reporting.compare import RunComparison
    from sft.reporting.rows import ReportTable


def print_results(record: RunRecord) -> None:
    _print_numbers(record.results)
    for baseline, values in record.baselines.items():
        _print_numbers(values, f"baseline {baseline}: ")


def _print_numbers(values: Mapping[str, Any], whose: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, (int, float)):
            print(f"{whose}{name}\t{value:.4f}")


def print_schedule(planned: Schedule) -> None:
    from sft.experiments.live import told
    from sft.sizes import duration

    for run in planned.runs:
        if run.name in planned.ended:
            what = told(planned.ended[run.name])
        else:
            seconds = planned.seconds[run.name]
            what = "to run" if seconds is None else f"to run, about {duration(seconds)}"
        print(f"{run.name}\t{what}")
    known = [seconds for seconds in planned.seconds.values() if seconds is not None]
    text = f"{len(planned.ended)} of {len(planned.runs)} runs ended"
    if planned.seconds:
        text += f", {len(planned.seconds)} to run in {len(planned.tasks)} tasks that share a model's answers"
    if known:
        text += f"; those like finished ones: about {duration(sum(known))} on one worker"
    if len(known) < len(planned.seconds):
        text += f"; {len(planned.seconds) - len(known)} of unknown cost (nothing like them has finished here)"
    print(text)


def print_table(table: ReportTable) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sft.reporting.caption import common_settings, reading
    from sft.reporting.columns import TIED, configuration_cells

    header, rows = configuration_cells(table)
    about = escape(" ".join([*reading(table), common_settings(table)]).strip())
    grid = Table(caption=about, caption_justify="left")
    for title in header:
        grid.add_column(escape(title), overflow="fold")
    for row in rows:
        cells = [escape(f"{cell.text}{TIED if cell.mark == 'tied' else ''}\n{cell.interval}".strip()) for cell in row]
        bold = [cell.mark == "best" for cell in row]
        grid.add_row(*(f"[bold]{text}[/bold]" if best else text for text, best in zip(cells, bold, strict=True)))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(grid)
    for note in table.notes:
        console.print(f"Note: {note}", markup=False)


def print_comparison(comparison: RunComparison, items: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sft.reporting.comparison_files import heading, sections

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(heading(comparison), markup=False)
    for title, about, header, rows in sections(comparison, items):
        grid = Table(title=title, title_justify="left", caption=escape(about), caption_justify="left")
        for name in header:
            grid.add_column(name, overflow="fold")
        for row in rows:
            grid.add_row(*map(escape, row))
        console.print(grid)
    for note in comparison.notes:
        console.print(f"Note: {note}", markup=False)
