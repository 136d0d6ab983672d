"""Experiment trackers: what `training.trainer_args.report_to` names is told of a run from its config to its metrics."""

from sft.tracking.asked import trackers_asked
from sft.tracking.trackers import Trackers

__all__ = ["Trackers", "trackers_asked"]
