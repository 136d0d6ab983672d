"""Whether calibration and thresholds have the rows that they learn from."""

from __future__ import annotations

from collections.abc import Iterator

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.doctor.overheard import overheard
from sft.pipeline.shots import plan_shots


@check_registry.register("calibration")
def calibration(case: Case) -> Iterator[Finding]:
    if case.setting.endpoint == "train":
        return
    prepared = case.prepared
    with overheard() as warnings:
        prepared.check_calibration(len(prepared.test))
        plan_shots(prepared, case.source, trains=case.trains)
    for line in warnings:
        yield warn(line, "raise dataset.shots, or leave the method out")
    spec = prepared.config.inference_or_default.calibration
    if spec is not None:
        yield ok(f"{spec.method!r} has the rows that it needs")
