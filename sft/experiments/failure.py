"""The record of a run that failed."""

from __future__ import annotations

from pathlib import Path

from sft.config.identity import run_id
from sft.config.schema import ExperimentConfig
from sft.pipeline.recording import now
from sft.pipeline.slug import slug
from sft.records import RunRecord, write_record


def write_failure(
    config: ExperimentConfig, results_path: Path, name: str, error: str, identity: str | None = None
) -> tuple[RunRecord, Path]:
    """Write a failed record, into the run's own folder where its identity got known, and return both."""
    record = RunRecord(
        run_id=identity or run_id(config, data_fingerprint=None, trains=config.has_shots),
        slug=slug(config),
        status="failed",
        seed=config.seed,
        name=name,
        config=config.model_dump(mode="json"),
        error=error,
        finished_at=now(),
    )
    folder = results_path / record.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    write_record(record, folder)
    return record, folder
