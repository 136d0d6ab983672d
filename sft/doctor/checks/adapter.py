"""The adapter on a model without data: that it finds its layers, and how much it trains."""

from __future__ import annotations

from collections.abc import Iterator

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, error, ok
from sft.sizes import percent


@check_registry.register("adapter")
def adapter(case: Case) -> Iterator[Finding]:
    spec = case.config.adapter_spec
    if not case.trains or spec is None:
        return
    parameters = list(case.empty.model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    if not trained:
        yield error(f"the adapter {spec.method!r} has no trainable parameter on this model", "set its target_modules")
        return
    share = percent(trained, sum(p.numel() for p in parameters))
    yield ok(f"{spec.method} trains {trained:,} parameters, {share} of all", trained=trained)
