"""docs/configuration.md is generated, and says what the schema says."""

from __future__ import annotations

from pathlib import Path

from sft.config.reference import reference
from sft.config.schema import ExperimentConfig, PromptingConfig

DOCS = Path(__file__).parents[3] / "docs"


def test_the_committed_configuration_reference_is_up_to_date() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_has_a_row_for_every_key() -> None:
    text = reference()
    keys = [*ExperimentConfig.model_fields, *PromptingConfig.model_fields]
    missing = [key for key in keys if f"| `{key}` |" not in text and f"## {key}" not in text]
    assert missing == []
