"""Records of failed runs."""

from __future__ import annotations

from pathlib import Path

from sft.experiments.failure import write_failure
from sft.pipeline.slug import slug
from sft.records import RunRecord, read_record, write_record
from tests.fakes import make_config


def test_a_failure_is_recorded_in_the_folder_of_its_run(tmp_path: Path) -> None:
    config = make_config()
    record, folder = write_failure(config, tmp_path, "a", "no luck", "0123456789ab")
    assert folder == tmp_path / f"{slug(config)}-0123456789ab"
    assert read_record(folder) == record
    assert (record.status, record.error) == ("failed", "no luck")


def test_a_failure_never_replaces_a_finished_record_of_the_same_run(tmp_path: Path) -> None:
    config = make_config()
    finished = RunRecord("0123456789ab", slug(config), "completed", 13, {}, results={"accuracy": 1.0})
    own = tmp_path / finished.folder_name
    own.mkdir()
    write_record(finished, own)
    record, folder = write_failure(config, tmp_path, "a", "no luck", "0123456789ab")
    assert read_record(own) == finished
    assert folder != own
    assert read_record(folder) == record
