"""Putting an adapter on a model, initialised as its arguments say."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sft.adapters import AdapterMethod, method_of
from sft.config.schema import MethodConfig
from sft.initialization.apply import Initialized, initialize
from sft.initialization.measurements import Measurements
from sft.initialization.residual import Residual
from sft.prompting.labelled import LabelledIds

logger = logging.getLogger(__name__)


class AttachedAdapter:
    """An adapter on a model, from its initialisation to the end of its training.

    `start` before the first step and `finish` after the last; between them, and only then, an initialisation's residual
    is taken off. initialized: what an initializer of ours did, None where PEFT initialised by itself.
    """

    def __init__(self, model: Any, method: AdapterMethod, initialized: Initialized | None) -> None:
        self.model = model
        self.method = method
        self.initialized = initialized
        self._residuals: list[Residual] = []

    def start(self) -> None:
        """Freeze the first factors as they are, in the dtype that training gives them."""
        if self.initialized is not None and self.initialized.has_residual:
            self._residuals = [Residual.of(factors) for factors in self.method.factors(self.model)]

    def finish(self) -> None:
        """Make the residuals part of the adapter: the model gives the same outputs, on an untouched base.

        Then whatever else brings the model into the form in which it is loaded again.
        """
        for residual in self._residuals:
            residual.remove()
        if self._residuals:
            self.method.fold(self.model, self._residuals)
            self._residuals = []
        self.method.after_training(self.model)


def attach(model: Any, adapter: MethodConfig, *, rows: Sequence[LabelledIds] = (), seed: int = 0) -> AttachedAdapter:
    """Put the adapter on the model. Random numbers of PEFT come from torch's global generator.

    rows: the training shots, for initialisations that look at data. seed: for those that draw.
    """
    method = method_of(adapter)
    if method.experimental:
        logger.warning("the adapter %r is experimental: it is known to train, and no more", adapter.method)
    wrapped = method.wrap(model, adapter.args)
    spec = method.initialization(adapter.args)
    if spec is None:
        return AttachedAdapter(wrapped, method, None)
    anywhere = method.can_start_anywhere(adapter.args)
    measurements = Measurements(wrapped, rows, seed)
    initialized = initialize(method.factors(wrapped), spec, measurements, seed, anywhere=anywhere)
    return AttachedAdapter(wrapped, method, initialized)
