"""How many rows each label has, among the shots and in the test, and what in-context examples lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sft.data.example import Example, LabelSet
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.sizes import counted, first_few, percent

_MOSTLY = 0.8


@check_registry.register("balance")
def balance(case: Case) -> Iterator[Finding]:
    prepared = case.prepared
    shown = [prepared.inference_examples()]
    shown += [prepared.training_examples()] if case.trains else []
    for warning in dict.fromkeys(line for each in shown for line in each.warnings):
        yield warn(warning, "raise dataset.shots, or lower icl_examples")
    if prepared.labels is None:
        return
    shots, test = _counts(prepared.pool, prepared.labels), _counts(prepared.test, prepared.labels)
    yield ok(f"shots per label: {_range(shots)}; test rows per label: {_range(test)}", shots=shots, test=test)
    absent = [name for name, count in test.items() if count == 0]
    if 0 < len(absent) < len(test):
        yield warn(
            f"{len(absent)} of {counted(len(test), 'label')} have no test row ({first_few(absent)}): each counts 0 in "
            f"macro_f1, which can't be above {1 - len(absent) / len(test):.2f}",
            "test on more rows: dataset.max_n_test",
            labels=absent,
        )
    most, rows = max(test.items(), key=lambda item: item[1])
    if prepared.labels.exclusive and rows > _MOSTLY * len(prepared.test):
        yield warn(
            f"{percent(rows, len(prepared.test))} of the test rows are {most!r}: always saying so is as accurate",
            "judge by macro_f1, and beside the majority baseline",
        )


def _counts(rows: Sequence[Example], labels: LabelSet) -> dict[str, int]:
    held = Counter(label for row in rows for label in ((row.label,) if row.labels is None else row.labels))
    return {name: held[i] for i, name in enumerate(labels.names)}


def _range(counts: dict[str, int]) -> str:
    fewest, most = min(counts.values()), max(counts.values())
    return str(most) if fewest == most else f"{fewest} to {most}"
