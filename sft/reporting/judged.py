"""A finished run's items, read back in the form that metrics take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.outcome import Outcome
from sft.evaluation.resampling import JudgedRun, judge
from sft.evaluation.stored_answers import stored_outcome
from sft.records import ITEMS_FILE, RunRecord, read_items


def read_judged(folder: Path, record: RunRecord) -> JudgedRun:
    """Raises `SftError` naming the file where the items aren't whole or aren't those of the record's test rows."""
    evaluation = ExperimentConfig.model_validate(record.config).evaluation
    return judge(read_outcome(folder, record), evaluation.metrics, evaluation.metric_args, record.results)


def read_outcome(folder: Path, record: RunRecord) -> Outcome:
    """Like `read_judged`, without the metrics."""
    return stored_outcome(items_of_run(folder, record), record, folder / ITEMS_FILE)


def items_of_run(folder: Path, record: RunRecord) -> list[dict[str, Any]]:
    """The items of the record's test rows, in their order."""
    path = folder / ITEMS_FILE
    try:
        items = read_items(folder)
    except OSError as error:
        raise SftError(f"{path}: {error.strerror or error}", "restore the file or run the experiment again") from error
    except json.JSONDecodeError as error:
        raise SftError(f"{path}: not whole: {error}", "restore the file or run the experiment again") from error
    rows = record.data.get("test_row_numbers")
    if [item.get("row") for item in items] != rows:
        raise SftError(
            f"{path}: its {len(items)} rows are not the {len(rows or ())} test rows of the record",
            "restore the file or run the experiment again",
        )
    return items
