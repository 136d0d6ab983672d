"""What a calibration is. It never touches a model: it names the content-free texts it needs, and adjusts scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sft.registry import Registry

Scores = NDArray[np.float64]


class Calibration(Protocol):
    """Made with the keyword arguments of `inference.calibration.args`.

    transductive: whether it uses the (unlabelled) test rows together, which reports must say.
    """

    transductive: bool

    def content_free_inputs(self) -> Sequence[str]:
        """Texts that stand for every input column of an input without content; empty where none is needed."""
        ...

    def adjust(self, scores: Scores, content_free: Scores) -> Scores:
        """New label scores, to be normalised by softmax.

        scores: [N, L] log-probabilities of the labels. content_free: [M, L], the same for `content_free_inputs`.
        """
        ...


class CalibrationMaker(Protocol):
    """A class whose constructor takes the arguments as keywords."""

    def __call__(self, **arguments: object) -> Calibration: ...


calibration_registry: Registry[type] = Registry("calibration")
