"""Finished runs whose labels were scored: what `sft results` commands start from. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sft.calibration.scored import ScoredInput, ScoredInputs
from sft.config.identity import run_id
from sft.config.schema import ExperimentConfig, MethodConfig
from sft.data.example import Example, LabelSet
from sft.errors import SftError
from sft.label_scores import LabelScores, RowScores, log_probs_of, stacked
from sft.pipeline.canonical import canonical_config
from sft.pipeline.conclude import needs_of
from sft.records import (
    ITEMS_FILE,
    RECORD_FILE,
    SUPPORT_FILE,
    RunRecord,
    find_records,
    read_items,
    read_record,
    read_support,
)

_AGAIN = "run the experiment again, or restore the file"


class StoredScores(NamedTuple):
    """The items of a run's test rows as its file holds them, their scores, and those of the inputs beside them."""

    items: list[dict[str, Any]]
    rows: LabelScores
    support: ScoredInputs

    @property
    def test(self) -> list[Example]:
        """The test rows without their labels."""
        return [
            Example(item["row"], item["inputs"], candidates=tuple(item.get("candidates", ()))) for item in self.items
        ]


@dataclass(frozen=True)
class ScoredRun:
    """The folder of a finished run and its record."""

    folder: Path
    record: RunRecord

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def origin(self) -> str:
        """The id of the run that computed the scores: this one, unless it has them from another."""
        return str(self.record.inference.get("scores_of") or self.record.run_id)

    @property
    def labels(self) -> LabelSet | None:
        """None where every row has candidates of its own."""
        data = self.record.data
        return data["labels"] and LabelSet(tuple(data["labels"]), tuple(data["verbalisations"]))

    @property
    def test_rows(self) -> list[int]:
        return list(self.record.data["test_row_numbers"])

    def stored(self) -> StoredScores:
        """Raises `SftError` where the files aren't whole, or aren't those of the record's test rows."""
        items, beside = self._read(ITEMS_FILE, read_items), self._read(SUPPORT_FILE, read_support)
        if [item.get("row") for item in items] != self.test_rows:
            raise SftError(
                f"{self.folder / ITEMS_FILE}: its {len(items)} rows are not the {len(self.test_rows)} test rows of the "
                "record",
                _AGAIN,
            )
        rows = stacked([RowScores(log_probs_of(item), np.array(item["token_counts"])) for item in items])
        scored = [ScoredInput.from_item(item) for item in beside]
        return StoredScores(items, rows, ScoredInputs(scored, self.labels.names if self.labels else ()))

    def _read(self, name: str, read: Callable[[Path], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        try:
            return read(self.folder)
        except (OSError, ValueError) as error:
            raise SftError(f"{self.folder / name}: {error}", _AGAIN) from error

    def config_with(self, calibration: MethodConfig | None, score_normalization: str | None) -> ExperimentConfig:
        """The run's config with another calibration; and with another normalisation, where one is given."""
        config = ExperimentConfig.model_validate(self.record.config)
        inference = config.inference_or_default
        changes = {
            "calibration": calibration,
            "score_normalization": score_normalization or inference.score_normalization,
        }
        return canonical_config(config.model_copy(update={"inference": inference.model_copy(update=changes)}))

    def run_id_of(self, config: ExperimentConfig) -> str:
        """The id of a run like this one with another config."""
        reads_file = any(needs.unlabelled is not None for needs in needs_of(config.inference_or_default))
        support = self.record.inference.get("support", {})
        return run_id(
            config,
            self.record.data["fingerprint"],
            trains=self.record.training is not None,
            checkpoint_fingerprint=self.record.model.get("adapter_fingerprint"),
            unlabelled_fingerprint=support.get("unlabelled_fingerprint") if reads_file else None,
        )


class Found(NamedTuple):
    """runs: those whose labels were scored. notes: for each other record, why it is left out."""

    runs: list[ScoredRun]
    notes: list[str]


def find_scored_runs(paths: Sequence[Path]) -> Found:
    """The runs in folders of runs and in folders of results.

    Records that have their scores from another one that is found too are left out silently: they hold nothing of their
    own. Raises `SftError` for a path without any record, or where no run is left.
    """
    records = {folder.resolve(): record for path in paths for folder, record in _records(path)}
    origins = {record.run_id for record in records.values() if "scores_of" not in record.inference}
    runs, notes = [], []
    for folder, record in records.items():
        obstacle = _obstacle(record)
        if obstacle is not None:
            notes.append(f"{folder.name}: {obstacle}")
        elif record.inference.get("scores_of") not in origins:
            runs.append(ScoredRun(folder, record))
    if not runs:
        raise SftError("no finished run with label scores:\n  " + "\n  ".join(notes), "give folders of such runs")
    return Found(runs, notes)


def _records(path: Path) -> Iterator[tuple[Path, RunRecord]]:
    if (path / RECORD_FILE).exists():
        yield path, read_record(path)
        return
    found = list(find_records(path))
    if not found:
        what = f"no {RECORD_FILE} in it or directly below it" if path.is_dir() else "no such folder"
        raise SftError(f"{path}: {what}", "give the folder of a run, or the results path of several")
    yield from found


def _obstacle(record: RunRecord) -> str | None:
    """Why other calibrations can't be tried on a run, if they can't."""
    if record.status != "completed":
        return "the run failed"
    if record.inference.get("method") != "logits":
        return "it has no scores of labels that exclude each other (generated answers, multi-label)"
    if record.model.get("adapter") is not None and record.model.get("adapter_fingerprint") is None:
        return "an earlier version of sft recorded it, without its adapter's fingerprint"
    return None
