"""Test rows that can also be learnt from: the same inputs, and those that differ in white space or case only."""

from __future__ import annotations

from collections.abc import Iterator

from sft.data.example import Example
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.sizes import counted


@check_registry.register("leakage")
def leakage(case: Case) -> Iterator[Finding]:
    prepared = case.prepared
    data = prepared.data
    if data.duplicates and not data.duplicates_dropped:
        yield warn(
            f"{counted(data.duplicates, 'training row')} with the inputs of test rows, kept",
            "set dataset.deduplicate to true",
            duplicates=data.duplicates,
        )
    exact = {tuple(row.inputs.values()) for row in data.test}
    near = {_normalised(row) for row in data.test}
    alike = {row.row for row in data.train if _normalised(row) in near and tuple(row.inputs.values()) not in exact}
    if alike:
        learnt = sum(row.row in alike for row in prepared.pool)
        yield warn(
            f"{counted(len(alike), 'training row')} like test rows but for white space or case; "
            f"{learnt} of them among the shots",
            "remove them from the training split",
            rows=sorted(alike),
        )
    if data.duplicates_dropped or not data.duplicates:
        dropped = f": {counted(data.duplicates, 'row')} dropped" if data.duplicates else ""
        yield ok(f"no training row has the inputs of a test row{dropped}", duplicates=data.duplicates)


def _normalised(row: Example) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in row.inputs.values())
