"""The record of a run that failed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sft.config.schema import ExperimentConfig
from sft.pipeline.canonical import canonical_config, plan_id
from sft.pipeline.recording import now
from sft.pipeline.slug import slug
from sft.records import RECORD_FILE, RunRecord, read_record, write_record


def write_failure(
    config: ExperimentConfig, results_path: Path, name: str, error: str, identity: str | None = None
) -> tuple[RunRecord, Path]:
    """Write a failed record and return it with its folder.

    That is the run's own folder where its identity got known, unless an earlier attempt left a finished record there,
    which is kept.
    """
    config = canonical_config(config)
    unknown = plan_id(config)
    if identity is not None and _is_finished(results_path / f"{slug(config)}-{identity}"):
        identity = None
    record = RunRecord(
        run_id=identity or unknown,
        slug=slug(config),
        status="failed",
        seed=config.seed,
        name=name,
        config=config.model_dump(mode="json"),
        error=error,
        plan_id=unknown,
        finished_at=now(),
    )
    folder = results_path / record.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    write_record(record, folder)
    return record, folder


def forget_failure(config: ExperimentConfig, results_path: Path) -> None:
    """Remove the record of a failure from before the run's identity was known: the run has finished since."""
    path = results_path / f"{slug(config)}-{plan_id(config)}" / RECORD_FILE
    if path.exists() and read_record(path.parent).status == "failed":
        path.unlink()
        with contextlib.suppress(OSError):  # something else is in the folder
            path.parent.rmdir()


def _is_finished(folder: Path) -> bool:
    return (folder / RECORD_FILE).exists() and read_record(folder).status == "completed"
