"""Every config that is shipped under etc/ loads with all checks, whatever its name or depth."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft.api import load_config, load_configs
from tests.conftest import REPOSITORY

SHIPPED = sorted(
    path
    for folder in ("etc/configs", "etc/quickstart")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".json", ".jsonnet") and "model" not in path.relative_to(REPOSITORY).parts
)
NAMES = [str(path.relative_to(REPOSITORY)) for path in SHIPPED]


def test_the_configs_that_the_readme_promises_are_among_those_found() -> None:
    promised = {
        "etc/quickstart/quickstart.jsonnet",
        "etc/configs/json/tweet_sentiment_qwen.json",
        "etc/configs/jsonnet/tweet_sentiment.jsonnet",
    }
    assert promised <= set(NAMES)
    assert len(NAMES) >= 6


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
def test_a_shipped_config_is_valid(path: Path) -> None:
    configs = load_configs(path)
    assert configs
    assert all(named.config.dataset.path and named.config.model.name for named in configs)


@pytest.mark.parametrize("path", [path for path in SHIPPED if path.suffix == ".json"])
def test_a_shipped_json_config_serves_every_command_for_one_config(path: Path) -> None:
    for command in ("predict", "evaluate", "run-experiment"):
        config = load_config(path, endpoint=command)
    if config.has_shots:
        load_config(path, endpoint="train")
