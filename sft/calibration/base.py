"""What a calibration is. It never touches a model: it says what to score beside the test rows, and adjusts scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sft.registry import Registry

Scores = NDArray[np.float64]

# Of Zhao et al. 2021.
CONTENT_FREE = ("N/A", "", "[MASK]")

Prior = Literal["shared", "per_prompt"]


@dataclass(frozen=True)
class Needs:
    """What must be scored beside the test rows, all of it in the run's own prompt.

    content_free: texts that stand for every input column. random_words: how many pseudo-inputs of random words (see
    `sft.data.random_words`). per_prompt: these two follow every test row's own in-context examples, instead of one list
    of them for all. premise: the prompt without an input (see `inference.pmi_premise`). shots: the labelled rows of the
    run, each scored by a model that hasn't seen its label. unlabelled: a file of further inputs. least_rows: how many
    rows it takes, of that file or (transductive methods) of the test.
    """

    content_free: tuple[str, ...] = ()
    random_words: int = 0
    per_prompt: bool = False
    premise: bool = False
    shots: bool = False
    unlabelled: str | None = None
    least_rows: int = 1


@dataclass(frozen=True)
class Support:
    """Scores of what a calibration needs; empty for what it doesn't.

    content_free, random_words: [M, L], or [N, M, L] where they were asked for per prompt of N test rows. shots: [K, L];
    shot_labels: [K], indices of labels. unlabelled: [U, L].
    """

    content_free: Scores
    random_words: Scores
    shots: Scores
    shot_labels: NDArray[np.int64]
    unlabelled: Scores


class Adjusted(NamedTuple):
    """New label scores [N, L], to be normalised by softmax; and what was fitted on the way, by name, for the record.

    warnings: what is doubtful about the fit. They are returned, not logged, so that a record knows which are this
    method's.
    """

    scores: Scores
    fitted: Mapping[str, float]
    warnings: tuple[str, ...] = ()


class Calibration(Protocol):
    """Made with the keyword arguments of `inference.calibration.args`: each annotated (values of configs are checked
    against it) and with a default.

    transductive: whether it uses the (unlabelled) test rows together, which reports must say.
    """

    @property
    def transductive(self) -> bool: ...

    @property
    def needs(self) -> Needs: ...

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        """scores: [N, L] of the test rows: log-probabilities of the labels, normalised alike here and in `support`."""
        ...


calibration_registry: Registry[type] = Registry("calibration")
