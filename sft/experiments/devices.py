"""The GPUs that workers may use, found without loading torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sft.config.schema import ExperimentConfig


def visible_gpus() -> list[str]:
    """As `CUDA_VISIBLE_DEVICES` names them: those that it lists, else as many as the driver has made devices for.

    A container may have the device file `nvidia3` alone, which is CUDA's device 0 there.
    """
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip() not in ("", "-1")]
    files = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(number) for number in range(len(files))]


def gpus_needed(config: ExperimentConfig, available: int) -> int:
    """`resources.gpus` where it is given; all for a model that is spread over devices; else one."""
    if config.resources.gpus is not None:
        return config.resources.gpus
    spread = config.model.model_args.get("parallelize") or "device_map" in config.model.model_args
    return available if spread else 1


def worker_environments(configs: Sequence[ExperimentConfig], workers: int | None) -> list[dict[str, str]]:
    """The variables of each worker: every one has as many GPUs as the most demanding run needs.

    workers: how many there shall be, which then share the groups of GPUs in turn. One worker without GPUs by default;
    several share the cores.
    """
    gpus = visible_gpus()
    if not gpus:
        shared = workers is not None and workers > 1 and "OMP_NUM_THREADS" not in os.environ
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers))} if shared and workers else {}
        return [threads for _ in range(workers or 1)]
    most = max(1, max((gpus_needed(config, len(gpus)) for config in configs), default=1))
    groups = [gpus[i : i + most] for i in range(0, len(gpus) - most + 1, most)] or [gpus]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(groups[i % len(groups)])} for i in range(workers or len(groups))]
