"""`aggregated_results.md`: the table for people."""

from __future__ import annotations

from collections.abc import Sequence

from sft.reporting.columns import caption, configuration_cells, run_cells
from sft.reporting.table import ReportTable


def as_markdown(table: ReportTable, title: str = "Results") -> str:
    failed = [row for row in table.runs if row.status == "failed"]
    parts = [f"# {title}", "## Configurations", "Mean ± standard deviation over seeds."]
    if table.constant:
        parts.append("In common: " + "; ".join(_escape(text) for text in caption(table)) + ".")
    parts.append(_grid(*configuration_cells(table)))
    parts += [f"> {_escape(note)}" for note in table.notes]
    parts += ["## Runs", _grid(*run_cells(table))]
    if failed:
        parts.append("## Failed runs")
        parts += [f"- **{_escape(row.name or row.folder)}**: {_escape(_first_line(row.error))}" for row in failed]
    return "\n\n".join(parts) + "\n"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines)


def _escape(text: str) -> str:
    for character in ("\\", "|", "<", ">", "*", "`"):
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")


def _first_line(text: str | None) -> str:
    return (text or "no message").strip().split("\n")[0]
