"""Whether a row has a label, as a row of its own: the label is one more input, and the answer is yes or no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sft.config.schema import LabelQuestionConfig
from sft.data.example import Example, LabelSet

NO, YES = 0, 1
_NEGATIVES_STREAM, _SHOWN_STREAM = 4, 5


@dataclass(frozen=True)
class Questions:
    """Questions about the labels of a task. column: the input that holds the label that is asked about."""

    labels: LabelSet
    spec: LabelQuestionConfig

    @property
    def column(self) -> str:
        return self.spec.name

    @property
    def answers(self) -> LabelSet:
        """No and yes, in the order of `NO` and `YES`."""
        return LabelSet(("no", "yes"), (self.spec.no, self.spec.yes))

    def about(self, row: Example, label: int) -> Example:
        """The question, with its answer where the row is labelled."""
        inputs = {**row.inputs, self.column: self.labels.verbalisations[label].strip()}
        return Example(row.row, inputs, label=None if row.labels is None else int(row.has(label)))

    def of(self, row: Example) -> list[Example]:
        """The questions about every label, in label order."""
        return [self.about(row, label) for label in range(len(self.labels))]

    def shown(self, rows: Sequence[Example], seed: int) -> list[Example]:
        """One question about each in-context example, answered in turn by yes and by no, as far as its labels allow.

        Which label is asked about depends on the row, its place and the seed, and on nothing that is asked later.
        """
        questions = []
        for place, row in enumerate(rows):
            held = [label for label in range(len(self.labels)) if row.has(label)]
            others = [label for label in range(len(self.labels)) if not row.has(label)]
            candidates = (held or others) if place % 2 == 0 else (others or held)
            generator = np.random.default_rng([seed, _SHOWN_STREAM, row.row])
            questions.append(self.about(row, candidates[generator.integers(len(candidates))]))
        return questions

    def balanced(self, pool: Sequence[Example], seed: int) -> Iterator[tuple[Example, Example]]:
        """(row, question) of what is trained on: every label that a row holds, and of each label as many rows without
        it, drawn from the pool (all of them, where it has fewer). In the order of the pool.
        """
        asked: dict[int, list[int]] = {row.row: list(row.labels or ()) for row in pool}
        for label in range(len(self.labels)):
            without = [row.row for row in pool if not row.has(label)]
            generator = np.random.default_rng([seed, _NEGATIVES_STREAM, label])
            for i in generator.permutation(len(without))[: len(pool) - len(without)]:
                asked[without[i]].append(label)
        for row in pool:
            for label in sorted(asked[row.row]):
                yield row, self.about(row, label)
