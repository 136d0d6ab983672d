"""The files of an exported task: its description, its rows, and the config that it was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sft.config.schema import ExperimentConfig
from sft.config.secrets import without_secrets
from sft.lm_eval.rows import ExportedRow

DATA_FILE, CONFIG_FILE, README_FILE = "test.jsonl", "config.json", "README.md"


def description(task: str, metric: str, delimiter: str) -> str:
    """YAML, every value of which is JSON."""
    values: dict[str, Any] = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": DATA_FILE}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "context",
        "doc_to_choice": "choices",
        "doc_to_target": "target",
        "target_delimiter": delimiter,
        "num_fewshot": 0,
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def lines(rows: Sequence[ExportedRow], delimiter: str) -> str:
    """JSON, a line for each row. delimiter: what the harness writes before every choice."""
    return "".join(json.dumps(_line(row, delimiter), ensure_ascii=False) + "\n" for row in rows)


def _line(row: ExportedRow, delimiter: str) -> dict[str, Any]:
    choices = [choice.removeprefix(delimiter) for choice in row.choices]
    return {"row": row.number, "context": row.context, "choices": choices, "target": row.target}


def config_values(config: ExperimentConfig) -> dict[str, Any]:
    """The config, with local files by their absolute paths, so that it works elsewhere; without access tokens."""
    values = without_secrets(config.model_dump(mode="json"))
    values["dataset"]["path"] = _placed(values["dataset"]["path"])
    for key in ("name", "chat_template_from"):
        values["model"][key] = _placed(values["model"][key])
    return values


def placed(name: str) -> str:
    """A local file by its absolute path; a hub id as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _placed(value: Any) -> Any:
    """All paths in a text, a list or an object."""
    if isinstance(value, dict):
        return {key: _placed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_placed(item) for item in value]
    return placed(value) if isinstance(value, str) else value
