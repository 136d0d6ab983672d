"""Which trackers a config asks for, and whether they are installed."""

from __future__ import annotations

from typing import Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.errors import MissingPackageError

KEY = "training.trainer_args.report_to"
_PACKAGES = {"comet_ml": "comet-ml"}


class Asked(NamedTuple):
    """ours: the names of accelerate's trackers, which are told of the whole run. others: names that only transformers
    knows; its trainer tells them of the training.
    """

    ours: list[str]
    others: list[str]


def trackers_asked(config: ExperimentConfig) -> Asked:
    """Both are empty unless `report_to` names something. Raises `MissingPackageError` for what isn't installed."""
    names = _names(config.training.trainer_args.get("report_to")) if config.training else []
    if not names:
        return Asked([], [])
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    installed = [str(name) for name in get_available_trackers()]
    if "all" in names:
        return Asked(installed, [])
    ours = [name for name in names if name in LOGGER_TYPE_TO_CLASS]
    for name in ours:
        if name in LoggerType.list() and name not in installed:
            package = _PACKAGES.get(name, name)
            raise MissingPackageError(package, f"{KEY} {name!r}", f"pip install {package}")
    return Asked(ours, [name for name in names if name not in ours])


def _names(value: Any) -> list[str]:
    given = value if isinstance(value, list) else [value]
    return [name for name in dict.fromkeys(given) if name not in (None, "none")]
