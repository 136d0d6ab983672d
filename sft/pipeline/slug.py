"""The readable part of a run's folder name."""

from __future__ import annotations

import re

from sft.config.identity import seeds_that_matter
from sft.config.names import dataset_name, model_name
from sft.config.schema import ExperimentConfig, InferenceConfig

NO_NORMALIZATION = InferenceConfig().score_normalization


def slug(config: ExperimentConfig) -> str:
    """Data set, model, shots, in-context counts of training and inference, seed; calibration, normalisation."""
    shots = "all" if config.dataset.shots is None else config.dataset.shots
    training = config.training.icl_examples if config.training else 0
    inference = config.inference_or_default
    matters = seeds_that_matter(config, trains=config.has_shots)
    seed = f"seed{config.seed}" if matters else "anyseed"
    names = (_safe(dataset_name(config)), _safe(model_name(config)))
    counts = (f"shots{shots}", f"icl{training}-{inference.icl_examples}", seed)
    calibration = [] if inference.calibration is None else [inference.calibration.method]
    normalization = [] if inference.score_normalization == NO_NORMALIZATION else [inference.score_normalization]
    return "-".join([*names, *counts, *(_safe(name, 30) for name in [*calibration, *normalization])])


def _safe(text: str, length: int = 60) -> str:
    # No leading "." (a hidden folder) or "-" (an option, to a shell).
    return re.sub(r"[^\w.-]+", "_", text)[:length].lstrip(".-") or "_"
