"""Results as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sft.experiments.schedule import Schedule
    from sft.records import RunRecord
    from sft.reporting.columns import Cell
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
        text += f", {len(planned.seconds)} to run"
    if len(planned.tasks) < len(planned.seconds):
        text += f" in {len(planned.tasks)} tasks: some need the same answers"
    if known:
        text += f"; those like finished ones: about {duration(sum(known))} on one worker"
    if len(known) < len(planned.seconds):
        text += f"; {len(planned.seconds) - len(known)} of unknown cost (nothing like them has finished here)"
    print(text)


def print_table(table: ReportTable) -> None:
    from rich.markup import escape
    from rich.table import Table

    from sft.cli.console import StdoutConsole
    from sft.reporting.caption import common_settings, reading
    from sft.reporting.columns import configuration_cells

    console = StdoutConsole(160)
    # Where letters can't be bold, in a file or a pipe, Markdown's signs say so.
    strong = "[bold]{}[/bold]" if console.is_terminal else "**{}**"
    header, rows = configuration_cells(table)
    about = escape(" ".join([*reading(table), common_settings(table)]).strip())
    grid = Table()
    for title in header:
        grid.add_column(escape(title), overflow="fold")
    for row in rows:
        grid.add_row(*(_marked(cell, strong) for cell in row))
    console.print(grid)
    console.print(f"[italic dim]{about}[/]", highlight=False)
    for note in table.notes:
        console.print(f"Note: {note}", markup=False)


def _marked(cell: Cell, strong: str) -> str:
    from rich.markup import escape

    from sft.reporting.columns import TIED

    value = escape(f"{cell.text}{TIED if cell.mark == 'tied' else ''}")
    return f"{strong.format(value) if cell.mark == 'best' else value}\n{escape(cell.interval)}".strip()


def print_comparison(comparison: RunComparison, items: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    from sft.cli.console import StdoutConsole
    from sft.reporting.comparison_files import heading, sections

    console = StdoutConsole(160)
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
