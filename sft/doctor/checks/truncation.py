"""What the limits of length cut, and the rows for which no prompt fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sft.data.example import Example
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, error, ok, warn
from sft.doctor.stages import Stage
from sft.pipeline.tasks import task_of
from sft.sizes import counted, percent

_RAISE = {
    "training": "raise training.trainer_args.max_length",
    "inference": "raise inference.max_seq_length, or leave it out",
}


@check_registry.register("truncation")
def truncation(case: Case) -> Iterator[Finding]:
    stages = [case.training_stage] if case.trains else []
    if case.setting.endpoint != "train":
        stages.append(case.inference_stage)
    for stage in stages:
        yield from _stage(stage)
        yield from _columns(case, stage)


def _stage(stage: Stage) -> Iterator[Finding]:
    n, counts = len(stage.examined), stage.counts
    of = f"{n} of {stage.total} rows were looked at" if n < stage.total else f"all {n} rows were looked at"
    details = {**counts.as_dict(), "examined": n, "rows": stage.total, "limit": stage.limit}
    if stage.refused:
        first = stage.refused[0]
        yield error(
            f"{stage.name}: no prompt can be built of {counted(len(stage.refused), 'row')}, e.g. row {first.row}: "
            f"{first.error.message} ({of})",
            first.error.hint,
            refused=[each.row for each in stage.refused],
        )
    if counts.outputs_cut:
        yield warn(
            f"{stage.name}: prompting.max_output_length cuts {counted(counts.outputs_cut, 'output')} ({of})",
            "raise it, or set it to null",
        )
    if counts.exceeded:
        yield warn(
            f"{stage.name}: {stage.limit} tokens are too few for {percent(_exceeding(stage), counts.prompts)} of the "
            f"prompts: {counts.prompts_without_some_examples} lose in-context examples and "
            f"{counts.prompts_with_shortened_input} a part of their input, "
            f"{percent(stage.uncut - stage.kept, stage.uncut)} of all tokens ({of})",
            f"{_RAISE[stage.name]}, or show fewer in-context examples",
            **details,
            tokens_cut=stage.uncut - stage.kept,
        )
    elif stage.lengths:
        limit = "there is no limit" if stage.limit is None else f"the limit is {stage.limit}"
        yield ok(
            f"{stage.name}: prompts with answers have at most {max(stage.lengths)} tokens, {limit} ({of})", **details
        )


def _exceeding(stage: Stage) -> int:
    return max(stage.counts.prompts_without_some_examples, stage.counts.prompts_with_shortened_input)


def _columns(case: Case, stage: Stage) -> Iterator[Finding]:
    """What `prompting.max_input_length` cuts of each column."""
    maximum = case.config.prompting.max_input_length
    never_cut = task_of(case.config).prompts(case.prepared).never_cut
    for column in case.config.prompting.input_columns if maximum is not None else ():
        if column not in never_cut:
            yield from _column(case, stage, column, maximum or 0)


def _column(case: Case, stage: Stage, column: str, maximum: int) -> Iterator[Finding]:
    lengths = _lengths(case, stage.examined, column)
    cut = [length - maximum for length in lengths if length > maximum]
    if cut:
        yield warn(
            f"{stage.name}: prompting.max_input_length cuts column {column!r} in {percent(len(cut), len(lengths))} of "
            f"{len(lengths)} rows, {percent(sum(cut), sum(lengths))} of its tokens",
            "raise it, or set it to null",
            column=column,
            rows=len(cut),
            tokens=sum(cut),
        )


def _lengths(case: Case, rows: Sequence[Example], column: str) -> list[int]:
    return [case.prompts.encoder.count(row.inputs[column]) for row in rows]
