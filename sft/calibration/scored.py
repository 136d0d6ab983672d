"""What was scored beside the test rows: as lines of a file, and as the arrays that a method asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sft.calibration.base import Needs
from sft.errors import SftError
from sft.label_scores import LabelScores, RowScores, log_probs_of, stacked

Kind = Literal["content_free", "random_words", "premise", "shot", "unlabelled"]


@dataclass(frozen=True)
class SupportInput:
    """An input that is scored beside the test rows.

    test_row: the test row whose in-context examples it follows, None where one list serves all. row: its number in the
    train split (shots) or in its file (unlabelled), and file: which. reference: the label of a shot, or its right
    candidate. prompt: for a premise that is a text of its own, which has no inputs. candidates: what is scored after
    it, where rows have candidates of their own; a premise then is that of the test row `test_row`.
    """

    kind: Kind
    inputs: Mapping[str, str]
    test_row: int | None = None
    row: int | None = None
    file: str | None = None
    reference: str | None = None
    prompt: str | None = None
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ScoredInput:
    """log_probs: [L] raw scores. token_counts: [L], without the end-of-turn."""

    input: SupportInput
    log_probs: NDArray[np.float64]
    token_counts: NDArray[np.int64]

    @property
    def row(self) -> int:
        """Of a shot."""
        assert self.input.row is not None
        return self.input.row

    def as_item(self) -> dict[str, Any]:
        """For JSON, like the items of test rows. An impossible label (minus infinity) is null there."""
        given = {name: value for name, value in vars(self.input).items() if value is not None}
        return {**given, "scores": self.log_probs.tolist(), "token_counts": self.token_counts.tolist()}

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> ScoredInput:
        names = SupportInput.__dataclass_fields__
        given = {name: value for name, value in item.items() if name in names}
        if "candidates" in given:
            given["candidates"] = tuple(given["candidates"])
        return cls(SupportInput(**given), log_probs_of(item), np.array(item["token_counts"]))


class MissingScores(SftError):
    """A method needs scores that a run didn't compute."""


@dataclass(frozen=True)
class RawSupport:
    """Raw scores of what was asked for; shapes as in `Support`, premise [1, L] or empty.

    Where rows have candidates of their own, premise is [N, L] (or empty), one row for each test row, and
    `shot_candidates` [K] are those of the shots.
    """

    content_free: LabelScores
    random_words: LabelScores
    premise: LabelScores
    shots: LabelScores
    shot_labels: NDArray[np.int64]
    unlabelled: LabelScores
    shot_candidates: Sequence[tuple[str, ...]] = ()


class ScoredInputs:
    """All that a run scored beside its test rows.

    labels: the names of the labels, in the order of scores; none where rows have candidates of their own.
    """

    def __init__(self, scored: Sequence[ScoredInput], labels: Sequence[str] = ()) -> None:
        self._labels = {name: i for i, name in enumerate(labels)}
        self._groups: dict[tuple[Kind, int | None], list[ScoredInput]] = {}
        for one in scored:
            self._groups.setdefault((one.input.kind, one.input.test_row), []).append(one)

    def counts(self) -> dict[str, int]:
        """How many inputs of each kind."""
        counts: Counter[str] = Counter()
        for (kind, _), group in self._groups.items():
            counts[kind] += len(group)
        return dict(counts)

    def select(self, needs: Needs, test_rows: Sequence[int]) -> RawSupport:
        """The scores for a method's needs.

        test_rows: the row numbers in whose order scores per prompt are given. Raises `MissingScores` naming the first
        that isn't there.
        """
        places: Sequence[int | None] = test_rows if needs.per_prompt else [None]
        texts = [self._content_free(needs.content_free, place) for place in places]
        words = [self._random_words(needs.random_words, place) for place in places]
        shots = self._group("shot", "the shots", "inference.score_shots=true") if needs.shots else []
        return RawSupport(
            content_free=self._arrays(texts, needs.per_prompt),
            random_words=self._arrays(words, needs.per_prompt),
            premise=self._stack(self._premises(test_rows) if needs.premise else []),
            shots=self._stack(shots),
            shot_labels=np.array([self._label(one.input) for one in shots], dtype=np.int64),
            unlabelled=self._stack(self._unlabelled(needs.unlabelled)),
            shot_candidates=[one.input.candidates for one in shots if one.input.candidates is not None],
        )

    def inputs_of(self, file: str | None) -> list[Mapping[str, str]]:
        """The rows of an unlabelled file; none for None."""
        return [one.input.inputs for one in self._unlabelled(file)]

    def _label(self, shot: SupportInput) -> int:
        reference = str(shot.reference)
        return self._labels[reference] if shot.candidates is None else shot.candidates.index(reference)

    def _premises(self, test_rows: Sequence[int]) -> list[ScoredInput]:
        """The one of all rows, or one for each row where they have candidates of their own."""
        if self._labels:
            return self._group("premise", "the premise", _AGAIN)
        return [one for row in test_rows for one in self._group("premise", "a row's premise", _AGAIN, row)]

    def _content_free(self, texts: Sequence[str], place: int | None) -> list[ScoredInput]:
        found = []
        for text in texts:
            group = self._groups.get(("content_free", place), [])
            one = next((one for one in group if set(one.input.inputs.values()) == {text}), None)
            if one is None:
                raise _missing(f"the content-free input {text!r}{_where(place)}", _AGAIN)
            found.append(one)
        return found

    def _random_words(self, count: int, place: int | None) -> list[ScoredInput]:
        group = self._groups.get(("random_words", place), [])
        if len(group) < count:
            have = f" (there are {len(group)})" if group else ""
            raise _missing(f"{count} inputs of random words{_where(place)}{have}", _AGAIN)
        return group[:count]

    def _unlabelled(self, file: str | None) -> list[ScoredInput]:
        if file is None:
            return []
        found = [one for one in self._groups.get(("unlabelled", None), []) if one.input.file == file]
        if not found:
            raise _missing(f"the inputs of {file!r}", _AGAIN)
        return found

    def _group(self, kind: Kind, what: str, how: str, place: int | None = None) -> list[ScoredInput]:
        if (kind, place) not in self._groups:
            raise _missing(what, how)
        return self._groups[kind, place]

    def _arrays(self, groups: Sequence[Sequence[ScoredInput]], per_prompt: bool) -> LabelScores:
        """[M, L] of the only group, or [N, M, L]."""
        stacked = [self._stack(group) for group in groups]
        if not per_prompt:
            return stacked[0]
        return LabelScores(np.stack([s.log_probs for s in stacked]), np.stack([s.token_counts for s in stacked]))

    def _stack(self, group: Sequence[ScoredInput]) -> LabelScores:
        return stacked([RowScores(one.log_probs, one.token_counts) for one in group], len(self._labels))


_AGAIN = "this calibration and normalisation in its config"


def _missing(what: str, how: str) -> MissingScores:
    return MissingScores(f"the run holds no scores of {what}", f"run the experiment with {how}")


def _where(place: int | None) -> str:
    return "" if place is None else " after every test row's own in-context examples"
