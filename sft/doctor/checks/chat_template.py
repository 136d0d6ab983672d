"""Which format prompts have, and why; how they begin, and how answers end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.training.sequences import answers_only


@check_registry.register("chat_template")
def chat_template(case: Case) -> Iterator[Finding]:
    yield ok(f"{case.prompts.format.name} format: {_why(case)}", format=case.prompts.format.name)
    stage = case.training_stage if case.trains else case.inference_stage
    first = [each.ids for each in stage.sequences[:1]] + [list(each.ids) for each in stage.asked[:1]]
    for ids in first:
        yield from _beginning(case, ids)
    if case.trains:
        yield from _ending(case)


def _why(case: Case) -> str:
    lender, asked = case.config.model.chat_template_from, case.config.prompting.format
    if asked != "auto":
        return f"prompting.format is {asked!r}"
    if lender is not None:
        return f"the template is borrowed from {lender!r}"
    return "the tokenizer has a template" if case.tokenizer.chat_template else "the tokenizer has no chat template"


def _beginning(case: Case, ids: Sequence[int]) -> Iterator[Finding]:
    """A template of the model's own may leave BOS out (Phi-3's does); a borrowed one was written for another model."""
    bos, name = case.tokenizer.bos_token_id, case.tokenizer.bos_token
    count = 0 if bos is None else sum(1 for _ in takewhile(lambda token: token == bos, ids))
    if count > 1:
        yield warn(
            f"prompts begin with {count} {name}: a model was trained with one",
            "remove one from the chat template, or borrow another with model.chat_template_from",
        )
    borrowed = case.config.model.chat_template_from is not None and case.prompts.format.name == "chat"
    if bos is not None and count == 0 and borrowed and case.tokenizer("a")["input_ids"][0] == bos:
        yield warn(
            f"the tokenizer begins texts with {name}, and the borrowed chat template doesn't write it",
            f"borrow a template that begins with {name}",
        )


def _ending(case: Case) -> Iterator[Finding]:
    end = case.prompts.format.eot_id
    name = case.tokenizer.convert_ids_to_tokens(end)
    if not answers_only(case.trainer):
        yield warn(
            "training.trainer_args.completion_only_loss is false: the prompts are in the loss too",
            "remove it, so that the answers alone are learnt",
        )
    if all(sequence.ids[-1] == end for sequence in case.training_stage.sequences):
        yield ok(f"every answer that is trained on ends with {name}, which is in the loss", end=name)
