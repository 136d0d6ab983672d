"""What a results folder holds of a sweep's runs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from sft.config.files import Stamps, input_stamps
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.experiments.claims import is_claimed
from sft.experiments.outcome import RunOutcome
from sft.experiments.plan import PlannedRun
from sft.records import RECORD_FILE, UNFINISHED, RunRecord, read_record

logger = logging.getLogger(__name__)


class Store:
    """The records under a results path, as they are now.

    A record that can't be read is told of and counts as missing: its run is done again.
    """

    def __init__(self, results_path: Path) -> None:
        self._stamps: dict[str, Stamps] = {}
        self._by_plan: dict[str, list[tuple[Path, RunRecord]]] = {}
        for path in sorted(results_path.glob(f"*/{RECORD_FILE}")):
            try:
                record = read_record(path.parent)
            except SftError as error:
                logger.warning("%s", error)
                continue
            if record.plan_id is not None:
                self._by_plan.setdefault(record.plan_id, []).append((path.parent, record))

    def ended(self, run: PlannedRun) -> tuple[Path, RunRecord] | None:
        """The folder and record of a run that ended, as long as the files that it read are as they were.

        A completed run is preferred to a failed one, whose files aren't asked about.
        """
        found = sorted(self._by_plan.get(run.plan_id, []), key=lambda one: one[1].status != "completed")
        for folder, record in found:
            if record.status == "failed" or record.inputs == self._inputs(run.config):
                return folder, record
        return None

    def _inputs(self, config: ExperimentConfig) -> Stamps:
        """Looked at once for all runs that read the same files."""
        key = config.model_dump_json(include={"dataset": {"path"}, "model": True, "inference": {"calibration"}})
        if key not in self._stamps:
            self._stamps[key] = input_stamps(config)
        return self._stamps[key]

    def records(self) -> list[RunRecord]:
        return [record for found in self._by_plan.values() for _, record in found]


def tidy(outcome: RunOutcome) -> None:
    """Remove what somebody who was killed right after completing a run left in its folder."""
    if outcome.record.status != "completed" or is_claimed(outcome.folder):
        return
    for path in [*outcome.folder.glob("claim-*.json"), *outcome.folder.glob(".*.tmp")]:
        path.unlink(missing_ok=True)
    shutil.rmtree(outcome.folder / UNFINISHED, ignore_errors=True)
