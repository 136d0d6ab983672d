"""Whether there are enough rows for a calibration: known before anything is scored, and checked again after."""

from __future__ import annotations

from sft.calibration.base import Calibration
from sft.errors import SftError


def check_enough_rows(calibration: Calibration, *, test_rows: int, file_rows: int) -> None:
    """Raises `SftError` for fewer than `needs.least_rows` test rows, if the calibration is transductive, or rows of the
    unlabelled file, if it reads one.
    """
    least, reads_file = calibration.needs.least_rows, calibration.needs.unlabelled is not None
    if calibration.transductive and test_rows < least:
        raise _too_few(f"{test_rows} test rows", "estimate_on: unlabelled")
    if reads_file and file_rows < least:
        raise _too_few(f"{file_rows} rows of unlabelled_path", "a file with more rows")


def _too_few(found: str, fix: str) -> SftError:
    return SftError(
        f"inference.calibration needs several rows to estimate the bias on, got {found}",
        f"use another calibration, or {fix}",
    )
