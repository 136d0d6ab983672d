"""The first prompts as the model would read them, with special tokens by name and what is in the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok
from sft.prompting.labelled import IGNORED
from sft.prompting.marked import marked

SHOWN = 3


@check_registry.register("prompts")
def prompts(case: Case) -> Iterator[Finding]:
    """`details`: `prompts`, a list of `{"stage", "tokens", "pieces", "answers"}`; pieces as `MarkedPiece`."""
    shown = _trained(case) if case.trains else _asked(case)
    if shown:
        what = "training sequences" if case.trains else "test prompts"
        yield ok(f"the first {what} have {', '.join(str(each['tokens']) for each in shown)} tokens", prompts=shown)


def _trained(case: Case) -> list[dict[str, Any]]:
    shown = []
    for row in case.training_rows[:SHOWN]:
        shown.append(_shown(case, "training", row.ids, [label != IGNORED for label in row.labels], []))
    return shown


def _asked(case: Case) -> list[dict[str, Any]]:
    shown = []
    for each in case.inference_stage.asked[:SHOWN]:
        answers = [str(case.tokenizer.decode(ids)) for ids in each.answers]
        shown.append(_shown(case, "inference", each.ids, [False] * len(each.ids), answers))
    return shown


def _shown(
    case: Case, stage: str, ids: Sequence[int], in_loss: Sequence[bool], answers: Sequence[str]
) -> dict[str, Any]:
    pieces = [piece._asdict() for piece in marked(ids, in_loss, case.tokenizer)]
    return {"stage": stage, "tokens": len(ids), "pieces": pieces, "answers": list(answers)}
