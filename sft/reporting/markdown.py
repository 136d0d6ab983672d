"""`aggregated_results.md`: the table for people."""

from __future__ import annotations

from collections.abc import Sequence

from sft.reporting.caption import common_settings, reading
from sft.reporting.columns import Cell, configuration_cells, run_cells
from sft.reporting.rows import ReportTable
from sft.reporting.variance_cells import variance_cells


def as_markdown(table: ReportTable, title: str = "Results") -> str:
    failed = [row for row in table.runs if row.status == "failed"]
    parts = [f"# {title}", "## Configurations", escape(" ".join(reading(table))).replace("Bold:", "**Bold**:")]
    if common_settings(table):
        parts.append(escape(common_settings(table)))
    parts.append(grid(*configuration_cells(table)))
    parts += [f"> {escape(note)}" for note in table.notes]
    split = variance_cells(table)
    if split is not None:
        parts += ["## Where the variance comes from", escape(split.caption), grid(split.header, split.rows)]
    parts += ["## Runs", grid(*run_cells(table))]
    if failed:
        parts.append("## Failed runs")
        parts += [f"- **{escape(row.name or row.folder)}**: {escape(_first_line(row.error))}" for row in failed]
    return "\n\n".join(parts) + "\n"


def grid(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    lines = [
        [escape(title) for title in header],
        ["---"] * len(header),
        *([_cell(cell) for cell in row] for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    for character in ("\\", "|", "<", ">", "*", "`"):
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")


def _cell(cell: Cell) -> str:
    if cell.mark != "best":
        return escape(cell.plain)
    return f"**{escape(cell.text)}** {escape(cell.interval)}".strip()


def _first_line(text: str | None) -> str:
    return (text or "no message").strip().split("\n")[0]
