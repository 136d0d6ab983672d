"""What was trained by a config, and is not what is asked to answer."""

from __future__ import annotations

import logging

from sft.config.schema import ExperimentConfig
from sft.models.source import ADAPTER_CONFIG, MODEL_CONFIG, ModelSource
from sft.training.output import output_dir

logger = logging.getLogger(__name__)


def warn_of_unused_adapter(config: ExperimentConfig, source: ModelSource) -> None:
    """Say so where the config's `output_dir` holds an adapter or weights, and `source` is something else."""
    trained = output_dir(config)
    if trained is None or not any((trained / name).exists() for name in (ADAPTER_CONFIG, MODEL_CONFIG)):
        return
    if source.trained is None or not source.trained.samefile(trained):
        what = "a trained adapter that is" if (trained / ADAPTER_CONFIG).exists() else "trained weights that are"
        logger.warning("%s holds %s not used here; to use it, pass --checkpoint %s", trained, what, trained)
