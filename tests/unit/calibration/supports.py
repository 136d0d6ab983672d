"""Scores that a calibration may ask for, made up."""

from __future__ import annotations

from typing import Any

import numpy as np

from sft.calibration import Calibration, Support


def made_up(calibration: Calibration, n_rows: int, n_labels: int = 4, seed: int = 1) -> Support:
    """What a calibration needs for `n_rows` test rows, at random."""
    needs, generator = calibration.needs, np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return np.log(generator.dirichlet(np.ones(n_labels), size=shape)) - 5.0

    places = (n_rows,) if needs.per_prompt else ()
    shots = 9 if needs.shots else 0
    return Support(
        content_free=draw(*places, len(needs.content_free)),
        random_words=draw(*places, needs.random_words),
        shots=draw(shots),
        shot_labels=generator.integers(n_labels, size=shots),
        unlabelled=draw(0 if needs.unlabelled is None else 7),
    )


def support(**given: Any) -> Support:
    """Only what is given; the number of labels doesn't matter for the rest."""
    nothing: dict[str, Any] = dict.fromkeys(("content_free", "random_words", "shots", "unlabelled"), np.empty((0, 0)))
    return Support(**{**nothing, "shot_labels": np.empty(0, dtype=np.int64), **given})
