"""The rows: that they can be read, how many there are, and what choosing them warns of."""

from __future__ import annotations

from collections.abc import Iterator

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn


@check_registry.register("data")
def data(case: Case) -> Iterator[Finding]:
    counts = case.prepared.counts()
    for line in case.said["data"]:
        yield warn(line, "mend or add rows, or lower dataset.shots")
    budget, test = counts["pool_rows"], counts["test_rows"]
    learnt = f"the run may learn from {budget} of {counts['train_rows']} training rows"
    yield ok(f"{learnt}, and answers {test} of {counts['test_rows_available']} test rows", **counts)
