"""What of a run lm-eval can do: labels and candidates scored as they are."""

from __future__ import annotations

from sft.config.schema import ExperimentConfig
from sft.errors import Problem

METRICS = {"none": "acc", "characters": "acc_norm", "bytes": "acc_bytes"}
"""A score normalisation → the harness's metric that is accuracy by it."""


def problems_of(config: ExperimentConfig) -> list[Problem]:
    """What in a config has no counterpart in the harness; none for a run that can be exported."""
    inference, task_type = config.inference_or_default, config.dataset.task_type
    problems = []
    if task_type not in ("classification", "multiple_choice"):
        what = f"{task_type!r} has no counterpart: only classification and multiple_choice have"
        problems.append(Problem("dataset.task_type", what, "use `sft evaluate`"))
    elif not config.scores_answers:
        what = "'generate': the harness doesn't parse labels as `sft` does"
        problems.append(Problem("inference.method", what, "set it to logits"))
    if inference.calibration is not None:
        what = f"{inference.calibration.method!r}: the harness doesn't calibrate"
        problems.append(Problem("inference.calibration", what, "set it to null"))
    if inference.score_normalization not in METRICS:
        what = f"the harness has no {inference.score_normalization!r}"
        problems.append(Problem("inference.score_normalization", what, f"use one of {', '.join(METRICS)}"))
    return problems
