"""Labels as tokens: which can't be told apart, which begin alike, which begin another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sft.data.example import LabelSet
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, error, ok, warn
from sft.sizes import first_few

_VERBALISE = "give them other verbalisations in dataset.labels"


@check_registry.register("labels")
def labels(case: Case) -> Iterator[Finding]:
    found = case.prepared.labels
    if found is None:
        return
    yield from _without_rows(case, found)
    if case.config.dataset.task_type != "classification":
        return
    builder = case.prompts.unlimited()
    tokens = builder.bare_labels().labels
    same = [group for group in _groups(tokens, found, whole=True) if len(group) > 1]
    if same:
        yield error(f"labels have the same tokens and so the same scores: {_named(same)}", _VERBALISE, same=same)
    prefixes = _prefixes(tokens, found)
    if prefixes and case.prompts.scored_end(builder) is None and case.config.scores_answers:
        yield warn(
            f"a label begins another and always scores higher: {first_few(prefixes)}",
            'set inference.label_end to "auto", or give them other verbalisations',
            prefixes=prefixes,
        )
    yield ok(_summary(tokens, found, prefixes), tokens=dict(zip(found.names, map(len, tokens), strict=True)))


def _summary(tokens: Sequence[Sequence[int]], found: LabelSet, prefixes: Sequence[str]) -> str:
    lengths = sorted(map(len, tokens))
    counts = f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
    text = f"{len(found)} labels of {counts} {'token' if counts == '1' else 'tokens'}"
    alike = [group for group in _groups(tokens, found, whole=False) if len(group) > 1]
    if alike:
        text += f"; {sum(map(len, alike))} share a first token with another ({_named(alike)}): all tokens count"
    return text + ("; some begin another, which the end of the turn tells apart" if prefixes else "")


def _groups(tokens: Sequence[Sequence[int]], found: LabelSet, *, whole: bool) -> list[list[str]]:
    """Names of labels with the same tokens, or the same first token."""
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, ids in zip(found.names, tokens, strict=True):
        groups[tuple(ids if whole else ids[:1])].append(name)
    return list(groups.values())


def _prefixes(tokens: Sequence[Sequence[int]], found: LabelSet) -> list[str]:
    by_tokens = {tuple(ids): name for name, ids in zip(found.names, tokens, strict=True)}
    return [
        f"{by_tokens[start]!r} in {name!r}"
        for ids, name in by_tokens.items()
        for n in range(1, len(ids))
        if (start := ids[:n]) in by_tokens
    ]


def _named(groups: Sequence[Sequence[str]]) -> str:
    return "; ".join(first_few(list(map(repr, group))) for group in groups[:3]) + ("; …" if len(groups) > 3 else "")


def _without_rows(case: Case, found: LabelSet) -> Iterator[Finding]:
    data = case.prepared.data
    for split, rows in (("training", data.train), ("test", data.test)):
        held = {label for row in rows for label in ((row.label,) if row.labels is None else row.labels)}
        missing = [repr(name) for i, name in enumerate(found.names) if i not in held]
        if missing:
            what = "its recall can't be measured" if split == "test" else "no shot can be drawn of it"
            yield warn(f"no {split} row has the label {first_few(missing)}: {what}", "mend dataset.labels, or add rows")
