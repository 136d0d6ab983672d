"""The prompts of a run's stages, training and inference, as the run would build them, of a sample of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from sft.data.example import Example
from sft.errors import PromptError
from sft.pipeline.answer import new_tokens_asked
from sft.pipeline.prepare import Prepared
from sft.pipeline.run_prompts import RunPrompts, training_prompts, virtual_tokens_of
from sft.pipeline.tasks import task_of
from sft.prompting.build import PromptBuilder, TrainingSequence
from sft.prompting.limits import TruncationCounts
from sft.training.sequences import refuse_nothing

AT_MOST = 1000
_AT_LEAST = 200
_ANSWERS_AT_MOST = 20_000  # each of them is tokenised after its prompt, once or several times

T = TypeVar("T")


class Asked(NamedTuple):
    """A row's prompt as it is scored or continued. answers: the tokens of each that is scored; none where the answer is
    generated, which may then have `new_tokens`.
    """

    ids: Sequence[int]
    answers: Sequence[Sequence[int]]
    new_tokens: int

    @property
    def length(self) -> int:
        """Of the prompt with its longest answer and the end of the turn."""
        return len(self.ids) + (max(map(len, self.answers)) + 1 if self.answers else self.new_tokens)


class Refused(NamedTuple):
    """A row for which no prompt can be built, and why."""

    row: int
    error: PromptError


class Stage(NamedTuple):
    """name: "training" or "inference". limit: of tokens, None for none. examined: rows that were looked at, of `total`.

    sequences: of training; asked: of inference; rows that are refused have none. counts: of what was cut. uncut, kept:
    tokens of these prompts without and with the limit.
    """

    name: str
    limit: int | None
    total: int
    examined: Sequence[Example]
    refused: Sequence[Refused]
    counts: TruncationCounts
    uncut: int
    kept: int
    sequences: Sequence[TrainingSequence] = ()
    asked: Sequence[Asked] = ()

    @property
    def lengths(self) -> list[int]:
        """In tokens, with the answer."""
        return [len(each.ids) for each in self.sequences] + [each.length for each in self.asked]


def sample(rows: Sequence[Example], at_most: int = AT_MOST) -> list[Example]:
    """All rows, or every so many-th, and the longest ones, which are what limits refuse."""
    if len(rows) <= at_most:
        return list(rows)
    longest = at_most // 20
    n = at_most - longest
    places = {i * len(rows) // n for i in range(n)}
    by_length = sorted(range(len(rows)), key=lambda i: -sum(map(len, rows[i].inputs.values())))
    return [rows[i] for i in sorted(places | set(by_length[:longest]))]


def rows_at_most(labels: int) -> int:
    """How many test rows are looked at where each has so many labels to be scored."""
    return min(AT_MOST, max(_AT_LEAST, _ANSWERS_AT_MOST // max(1, labels)))


def training_stage(prepared: Prepared, prompts: RunPrompts, max_length: int | None) -> Stage:
    """Raises `TrainingError` for an empty pool."""
    virtual, shown = virtual_tokens_of(prepared.config), prepared.training_examples()
    rows = sample(refuse_nothing(prepared.pool))

    def build(builder: PromptBuilder, of: Sequence[Example]) -> Sequence[TrainingSequence]:
        return training_prompts(replace(prepared, pool=list(of)), prompts.format, builder, shown).sequences

    found = _build(rows, lambda: prompts.builder(max_length, virtual), build)
    kept = sum(len(each.ids) for each in found.built)
    whole = build(prompts.unlimited(), found.rows) if found.counts.exceeded else found.built
    return Stage(
        "training",
        prompts.limit(max_length, virtual),
        len(prepared.pool),
        rows,
        found.refused,
        found.counts,
        uncut=sum(len(each.ids) for each in whole),
        kept=kept,
        sequences=found.built,
    )


def inference_stage(prepared: Prepared, prompts: RunPrompts, virtual_tokens: int) -> Stage:
    """virtual_tokens: positions that an adapter takes."""
    limit = prepared.config.inference_or_default.max_seq_length
    rows = sample(prepared.test, rows_at_most(len(prepared.labels or ())))
    ask = _Asking(prepared, prompts.unlimited())
    found = _build(rows, lambda: prompts.builder(limit, virtual_tokens), ask)
    whole = ask(prompts.unlimited(), found.rows) if found.counts.exceeded else found.built
    return Stage(
        "inference",
        prompts.limit(limit, virtual_tokens),
        len(prepared.test),
        rows,
        found.refused,
        found.counts,
        uncut=sum(len(each.ids) for each in whole),
        kept=sum(len(each.ids) for each in found.built),
        asked=found.built,
    )


class _Asking:
    """Builds the prompts of test rows. builder: by which answers are measured."""

    def __init__(self, prepared: Prepared, builder: PromptBuilder) -> None:
        self._prepared = prepared
        self._task, self._shown = task_of(prepared.config), prepared.inference_examples()
        scores = prepared.config.scores_answers or prepared.config.asks_about_labels
        asked = new_tokens_asked(prepared.config)
        self._new_tokens = 0 if scores else asked or self._task.longest_answer(prepared, builder)

    def __call__(self, builder: PromptBuilder, rows: Sequence[Example]) -> list[Asked]:
        return [self._asked(builder, row) for row in rows]

    def _asked(self, builder: PromptBuilder, row: Example) -> Asked:
        shown = self._shown.for_query(row)
        scored = self._task.scored_prompt(self._prepared, builder, row, shown)
        if scored is not None:
            return Asked(scored.prompt, scored.labels, 0)
        return Asked(builder.generation_prompt(row, shown, self._new_tokens), (), self._new_tokens)


class _Built(NamedTuple, Generic[T]):
    """rows: those for which prompts could be built. counts: of what was cut from these."""

    rows: Sequence[Example]
    built: Sequence[T]
    refused: Sequence[Refused]
    counts: TruncationCounts


def _build(
    rows: Sequence[Example],
    make_builder: Callable[[], PromptBuilder],
    build: Callable[[PromptBuilder, Sequence[Example]], Sequence[T]],
) -> _Built[T]:
    """The prompts of all rows; of those for which there can be one, where there can't for all."""
    builder = make_builder()
    try:
        return _Built(rows, build(builder, rows), [], builder.counts)
    except PromptError:
        refused = [Refused(row.row, error) for row in rows if (error := _refusal(row, make_builder(), build))]
        builder, gone = make_builder(), {each.row for each in refused}
        rest = [row for row in rows if row.row not in gone]
        return _Built(rest, build(builder, rest) if rest else [], refused, builder.counts)


def _refusal(
    row: Example, builder: PromptBuilder, build: Callable[[PromptBuilder, Sequence[Example]], Sequence[T]]
) -> PromptError | None:
    try:
        build(builder, [row])
    except PromptError as error:
        return error
    return None
