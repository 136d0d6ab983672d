"""What is kept of the course of a run: its warnings, its log, its timings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sft.errors import SftError
from sft.pipeline.recording import RunLog, make_folder, recording

logger = logging.getLogger("sft.some.part")


def test_warnings_of_sft_are_collected_while_a_run_is_recorded_and_no_others(tmp_path: Path) -> None:
    log = RunLog()
    logger.warning("before")
    with recording(log, tmp_path):
        logger.warning("label %s is short", "a")
        logger.info("for the log only")
        logging.getLogger("torch").warning("not ours")
    logger.warning("after")
    assert log.warnings == ["label a is short"]


def test_the_log_file_holds_all_messages_of_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sft"), recording(RunLog(), tmp_path):
        logger.info("Größe: %d", 3)
        logger.warning("short")
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO sft.some.part: Größe: 3", "WARNING sft.some.part: short"]


def test_handlers_are_removed_even_when_a_run_fails(tmp_path: Path) -> None:
    before = logging.getLogger("sft").handlers[:]
    with pytest.raises(ZeroDivisionError), recording(RunLog(), tmp_path):
        raise ZeroDivisionError
    assert logging.getLogger("sft").handlers == before


def test_stages_add_up_and_are_kept_when_they_fail() -> None:
    log = RunLog()
    with log.stage("data"):
        pass
    first = log.timings["data"]
    with pytest.raises(ZeroDivisionError), log.stage("data"):
        raise ZeroDivisionError
    assert log.timings["data"] > first > 0
    log.finish()
    assert log.timings["total"] >= log.timings["data"]


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a" / "b", "--results-path")
    assert list(folder.iterdir()) == []
    assert make_folder(folder, "--results-path") == folder


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_option(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SftError, match="--results-path: can't write into"):
        make_folder(tmp_path / "file" / below, "--results-path")
