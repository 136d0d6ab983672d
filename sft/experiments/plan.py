"""What a sweep will do, decided before anything runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sft.config.identity import run_id
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.pipeline.canonical import canonical_config

logger = logging.getLogger(__name__)


class PlannedRun(NamedTuple):
    name: str
    config: ExperimentConfig


def plan(configs: Sequence[NamedConfig]) -> list[PlannedRun]:
    """The runs of a sweep: identical configs once, and no two that write their adapters to the same folder."""
    by_identity: dict[str, PlannedRun] = {}
    by_output: dict[Path, str] = {}
    for name, config in configs:
        identity = run_id(canonical_config(config), data_fingerprint=None, trains=config.has_shots)
        if identity in by_identity:
            logger.warning(
                "the configs %s and %s describe the same run; it runs once", by_identity[identity].name, name
            )
            continue
        by_identity[identity] = PlannedRun(name, config)
        output = config.training.trainer_args.get("output_dir") if config.training else None
        if output is not None and config.has_shots:
            folder = Path(output).expanduser().resolve()
            if folder in by_output:
                raise SftError(
                    f"the configs {by_output[folder]} and {name} both write their adapter to {output!r}",
                    "make training.trainer_args.output_dir different, or remove it to keep no adapters",
                )
            by_output[folder] = name
    return list(by_identity.values())
