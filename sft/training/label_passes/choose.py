"""Which pass reads labels right: the fast one where it gives the plain one's scores on two rows of the task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sft.inference.capability import trial_rows
from sft.inference.shared_prefixes import ScoringRow
from sft.inference.tolerance import compare
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel
from sft.training.label_passes.base import LabelPass
from sft.training.label_passes.plain import PlainPass
from sft.training.label_passes.tree import TreePass

logger = logging.getLogger(__name__)


class PassChoice(NamedTuple):
    """The pass to use, and why."""

    label_pass: LabelPass
    reason: str


def choose_pass(loaded: LoadedModel, rows: Sequence[ScoringRow]) -> PassChoice:
    """Try the tree on two rows, the longest among them, without dropout."""
    plain, trial = PlainPass(loaded), trial_rows(rows)
    with _evaluating(loaded.model):
        expected = _scores(plain, loaded.model, trial)
        try:
            tree = TreePass(loaded)
            found = _scores(tree, loaded.model, trial)
        except UnsupportedModelError as error:
            reason = str(error)
        except Exception as error:  # an architecture nobody foresaw may fail anywhere; the plain pass still serves it
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
        else:

            def alone() -> NDArray[np.float64]:
                return np.concatenate([_scores(plain, loaded.model, [row]) for row in trial])

            compared = compare(found, expected, alone, loaded.model.dtype)
            reason = f"{compared} on two rows"
            if compared.agrees:
                return PassChoice(tree, reason)
    logger.info("labels are read one by one in training: the tree is not used: %s", reason)
    return PassChoice(plain, f"the tree is not used: {reason}")


def _scores(label_pass: LabelPass, model: Any, rows: Sequence[ScoringRow]) -> NDArray[np.float64]:
    """[rows, labels]."""
    with label_pass.in_use():
        scores: NDArray[np.float64] = label_pass(model, rows).double().sum(dim=-1).cpu().numpy()
    return scores


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
