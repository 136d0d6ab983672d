"""The table of what a result's variance is due to."""

from __future__ import annotations

from typing import NamedTuple

from sft.reporting.columns import Cell, headline_metrics, number, show
from sft.reporting.rows import ReportTable


class VarianceCells(NamedTuple):
    caption: str
    header: list[str]
    rows: list[list[Cell]]


def variance_cells(table: ReportTable) -> VarianceCells | None:
    """One row per configuration whose seeds were varied apart, for the first metric; None where there is none."""
    metric = next(iter(headline_metrics(table)), "")
    split = [row for row in table.configurations if metric in row.variance]
    if not split:
        return None
    sources = list(dict.fromkeys(source for row in split for source in row.variance[metric]))
    rows = [
        [
            *(Cell(show(row.settings.get(name))) for name in table.varying),
            *(Cell(number(_root(row.variance[metric].get(source)))) for source in sources),
        ]
        for row in split
    ]
    caption = (
        f"Standard deviation of one run's {metric} due to each source alone (variances add up). subset: the shots that "
        "were drawn; order: in-context examples; initialisation: of the adapter, and the order of training; remainder: "
        "what they do together; test rows: another draw of the test set."
    )
    return VarianceCells(caption, [*table.varying, *sources], rows)


def _root(variance: float | None) -> float | None:
    return None if variance is None else variance**0.5
