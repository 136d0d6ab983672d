"""What is right in an invalid config, so that every problem of a file can be told at once."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from sft.config.schema import ExperimentConfig

# For required keys that are wrong or missing. No check finds anything wrong with these.
_STAND_INS: dict[str, dict[str, Any]] = {
    "dataset": {"path": "?", "task_type": "classification"},
    "model": {"name": "?"},
    "prompting": {"input_columns": ["?"], "output_column": "answer"},
}
# Required by other keys only: where nobody wrote it, a check says so.
_CONDITIONAL = "prompting.output_column"
# Keys that can't be judged while the other has a stand-in.
_JUDGED_BY = {"evaluation": "dataset.task_type", "prompting.template": "prompting.input_columns"}


def without_problems(value: dict[str, Any], keys: Collection[str]) -> ExperimentConfig | None:
    """The config without its invalid `keys`, for the checks that come after validation.

    None where not even that is valid.
    """
    value = copy.deepcopy(value)
    for key in keys:
        _remove(value, key.partition("[")[0])
    for name, required in _STAND_INS.items():
        is_new = name not in value
        section = value.setdefault(name, {})
        for key in required.keys() - section.keys():
            if f"{name}.{key}" == _CONDITIONAL and not is_new and _CONDITIONAL not in keys:
                continue
            section[key] = required[key]
            for judged, by in _JUDGED_BY.items():
                if by == f"{name}.{key}":
                    _remove(value, judged)
    try:
        return ExperimentConfig.model_validate(value)
    except ValidationError as error:
        # Only a choice without its required key is left, such as a quantization without config_class.
        for detail in error.errors():
            _remove(value, ".".join(map(str, detail["loc"][:-1])))
    try:
        return ExperimentConfig.model_validate(value)
    except ValidationError:
        return None


def _remove(value: dict[str, Any], key: str) -> None:
    *parents, last = key.split(".")
    section: Any = value
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if isinstance(section, dict):
        section.pop(last, None)
