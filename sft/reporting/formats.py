"""The files that a table is written to, by suffix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sft.records import write_json, write_text
from sft.registry import Registry
from sft.reporting.csv import as_csv
from sft.reporting.json import as_json
from sft.reporting.latex import as_latex
from sft.reporting.markdown import as_markdown
from sft.reporting.rows import ReportTable

STEM = "aggregated_results"

format_registry: Registry[Callable[[Path, ReportTable], object]] = Registry("format")
format_registry["json"] = lambda path, table: write_json(path, as_json(table))
format_registry["md"] = lambda path, table: write_text(path, as_markdown(table))
format_registry["csv"] = lambda path, table: write_text(path, as_csv(table))
format_registry["tex"] = lambda path, table: write_text(path, as_latex(table))


def write_table(table: ReportTable, folder: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write `aggregated_results.<format>` into `folder`, all formats by default; returns the files."""
    writers = {name: format_registry[name] for name in formats or format_registry}
    files = []
    for name, write in writers.items():
        write(folder / f"{STEM}.{name}", table)
        files.append(folder / f"{STEM}.{name}")
    return files
