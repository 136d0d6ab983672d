"""Which settings of a config a table may show."""

from __future__ import annotations

from typing import Any

import pytest

from sft.reporting.settings import settings_of
from tests.fakes import make_config

OBJECTIVES: list[tuple[Any, dict[str, Any]]] = [
    ("next_token", {"objective": None}),
    ("tfew", {"objective": "tfew"}),
    ({"method": "tfew", "args": {"unlikelihood": 2}}, {"objective": "tfew", "tfew unlikelihood": 2}),
]


@pytest.mark.parametrize(("objective", "expected"), OBJECTIVES, ids=str)
def test_an_objective_and_its_arguments_are_settings_of_what_was_trained(objective: Any, expected: Any) -> None:
    config = make_config(training={"objective": objective})
    settings = settings_of(config, trained=True)
    assert {name: value for name, value in settings.items() if "objective" in name or "tfew" in name} == expected
    assert "objective" not in settings_of(config, trained=False)
