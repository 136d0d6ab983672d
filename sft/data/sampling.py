"""Which rows a run may learn from and which it is judged on.

One label budget: the pool of `shots` is the only place from which training rows and in-context examples come. Pools are
nested under one seed, and the test subset depends on the data alone, so that runs can be compared row by row
(Perez et al. 2021, arXiv 2105.11447, on why unlabelled "extra" validation data breaks few-shot claims).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.errors import DataError

logger = logging.getLogger(__name__)

_TEST_SUBSET_SEED = 0
_NAMED_AT_MOST = 5
_POOL_STREAM, _ORDER_STREAM, _PER_PROMPT_STREAM = 1, 2, 3


# Held-out prompts are those of the shots of a fold, which aren't in the pool of the rest.
Purpose = Literal["training", "inference", "calibration", "held-out"]


def label_pool(train: Sequence[Example], labels: LabelSet | None, config: ExperimentConfig) -> list[Example]:
    """The rows whose labels the run may use, in a seeded order.

    `dataset.shots` rows per label (in total for generation); all rows for null; for 0 shots, as many as the in-context
    examples of inference need. The pool of 4 shots is part of the pool of 16 under the same seed. A row with several
    labels counts for each: rows are taken in order as long as one of their labels lacks rows.
    Raises `DataError` for a label without any training row when some are asked for.
    """
    shots = config.dataset.shots
    if shots == 0:
        shots = config.inference_or_default.icl_examples
    if shots == 0:
        return []
    generator = np.random.default_rng([config.seed_for("data"), _POOL_STREAM])
    rank = {example.row: position for position, example in enumerate(_shuffled(train, generator))}
    pool: list[Example] = []
    short: list[str] = []
    in_total = labels is None or (config.dataset.shots in (0, None) and not labels.exclusive)
    for name, members in _by_label(train, None if in_total else labels).items():
        if not members:
            raise DataError(
                f"the label {name!r} has no training example", "add rows, set dataset.shots to 0, or remove the label"
            )
        if shots is not None and len(members) < shots:
            short.append(f"{name} ({len(members)})")
        pool += sorted(members, key=lambda example: rank[example.row])[:shots]
    if short:
        logger.warning("fewer training rows than the %d asked for, all are used: %s", shots, _first_few(short))
    unique = {example.row: example for example in pool}
    return sorted(unique.values(), key=lambda example: rank[example.row])


def select_test(test: Sequence[Example], labels: LabelSet | None, max_n_test: int | None) -> list[Example]:
    """The test rows of every run on this data set, in their original order.

    Stratified for classification: each label gets its share of `max_n_test`, the largest remainders one more.
    """
    if max_n_test is None or max_n_test >= len(test):
        return list(test)
    generator = np.random.default_rng(_TEST_SUBSET_SEED)
    # By name: the order in which a config lists the labels makes no other rows.
    groups = [_shuffled(members, generator) for _, members in sorted(_by_label(test, _exclusive(labels)).items())]
    exact = [max_n_test * len(group) / len(test) for group in groups]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(groups)), key=lambda i: quotas[i] - exact[i])
    for i in by_remainder[: max_n_test - sum(quotas)]:
        quotas[i] += 1
    chosen = [example for group, quota in zip(groups, quotas, strict=True) for example in group[:quota]]
    return sorted(chosen, key=lambda example: example.row)


class InContextExamples:
    """The in-context examples of each prompt of a run, drawn from its label pool.

    per_group: examples per label (in total for generation and multi-label). Every prompt of a run shows the same number
    of each label, so that the number says nothing about a training row's own label: for training rows (of which the
    shots that a calibration learns from are a kind), which are never shown to themselves, a label with no row to spare
    is shown once less to all of them. The last example stands nearest to the query. Fewer rows than asked for: all are
    used, and `warnings` says so.
    """

    def __init__(
        self,
        pool: Sequence[Example],
        labels: LabelSet | None,
        per_group: int,
        *,
        purpose: Purpose,
        sampling: Literal["fixed", "per_prompt"],
        seed: int,
    ) -> None:
        self._groups = _by_label(pool, _exclusive(labels))
        self._seed = seed
        self._sampling = sampling
        self._leaves_out = purpose in ("training", "calibration")
        order = np.random.default_rng([seed, _ORDER_STREAM])
        self._position = {example.row: i for i, example in enumerate(_shuffled(pool, order))}
        spare = 1 if self._leaves_out else 0
        self.counts = {name: max(0, min(per_group, len(rows) - spare)) for name, rows in self._groups.items()}
        self.warnings = self._shortage(per_group, purpose)

    def __len__(self) -> int:
        """In-context examples per prompt."""
        return sum(self.counts.values())

    def _shortage(self, per_group: int, purpose: Purpose) -> list[str]:
        """At most one line on shots that lack a label in their prompts, and one on all others."""
        short = [name for name, count in self.counts.items() if count < per_group]
        none = [name for name in short if purpose == "calibration" and self.counts[name] == 0]
        some = [
            f"{name} ({self.counts[name]}, the pool has {len(self._groups[name])})"
            for name in short
            if name not in none
        ]
        lines = []
        if none:
            lines.append(
                f"the shots are scored without in-context examples of {_first_few(none)}, which test prompts have: the "
                "pool holds one row of each, and no shot is shown to itself; raise dataset.shots above "
                "inference.icl_examples"
            )
        if some:
            asked = f"fewer in-context examples than the {per_group} asked for"
            lines.append(f"{purpose} prompts: {asked}: {_first_few(some)}")
        return lines

    def for_query(self, query: Example) -> list[Example]:
        """The examples to show before `query`, the nearest last; never a training row itself."""
        excluded = query.row if self._leaves_out else None
        if self._sampling == "fixed":
            return sorted(self._first(excluded), key=lambda example: self._position[example.row])
        groups = {name: [e for e in rows if e.row != excluded] for name, rows in self._groups.items()}
        generator = np.random.default_rng([self._seed, _PER_PROMPT_STREAM, int(self._leaves_out), query.row])
        drawn = [e for name, rows in groups.items() for e in _shuffled(rows, generator)[: self.counts[name]]]
        return _shuffled(drawn, generator)

    def _first(self, excluded: int | None) -> Iterator[Example]:
        """The first rows of each label but one. No more are looked at, because pools may be large."""
        for name, rows in self._groups.items():
            count = self.counts[name]
            yield from [example for example in rows[: count + 1] if example.row != excluded][:count]


def _first_few(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED_AT_MOST
    return ", ".join(texts[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _by_label(examples: Sequence[Example], labels: LabelSet | None) -> Mapping[str, list[Example]]:
    """Label name → its examples, in label order; one group of all without labels."""
    if labels is None:
        return {"the data set": list(examples)}
    groups: dict[str, list[Example]] = {name: [] for name in labels.names}
    for example in examples:
        for label in (example.labels or ()) if example.label is None else (example.label,):
            groups[labels.names[label]].append(example)
    return groups


def _exclusive(labels: LabelSet | None) -> LabelSet | None:
    """Labels by which rows can be told apart; None where there are none."""
    return labels if labels is not None and labels.exclusive else None


def _shuffled(examples: Sequence[Example], generator: np.random.Generator) -> list[Example]:
    return [examples[i] for i in generator.permutation(len(examples))]
