"""What would be trained, in how many steps, and what the trainer refuses of its arguments."""

from __future__ import annotations

from collections.abc import Iterator

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.pipeline.select import plan_selection
from sft.pipeline.shots import plan_shots
from sft.sizes import counted


@check_registry.register("training")
def training(case: Case) -> Iterator[Finding]:
    if not case.trains:
        yield ok("nothing is trained" + (": dataset.shots is 0" if not case.config.has_shots else ""))
        return
    for line in case.said["training"]:
        yield warn(line, "remove it")
    rows, steps, step = case.training_length
    if case.trainer.packing:
        yield ok(f"{counted(rows, 'sequence')}, packed: at most {counted(steps, 'step')}", sequences=rows)
    else:
        length = f"{counted(steps, 'step')} of {min(step, rows)}"
        yield ok(f"{counted(rows, 'sequence')}, {length}", sequences=rows, steps=steps)
    selection = plan_selection(case.prepared, trains=True)
    if selection is not None:
        n = len(selection.points) * len(selection.folds)
        yield ok(f"{n} further trainings choose training.select", trainings=n)
    plan = plan_shots(case.prepared, case.source, trains=True) if case.setting.endpoint != "train" else None
    if plan is not None:
        yield ok(f"{len(plan.folds)} further adapters are trained to score the shots", trainings=len(plan.folds))
