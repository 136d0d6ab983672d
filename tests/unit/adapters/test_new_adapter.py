"""docs/adapters.md: its example works as one file, and its tables say what the registry says."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sft.adapters import adapter_registry
from sft.adapters.experimental import REFUSED
from sft.pipeline.checks import check_registered_names
from sft.pipeline.endpoints import evaluate, train
from tests.conftest import REPOSITORY
from tests.docs.blocks import file_of
from tests.tiny_runs import tiny_run

PATH = REPOSITORY / "docs" / "adapters.md"
PAGE = PATH.read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def one_file(tmp_path: Path) -> Iterator[None]:
    """The example, imported from a file of its own."""
    path = tmp_path / "lora_on_top.py"
    path.write_text(file_of(PATH, path.name), encoding="utf-8")
    found = importlib.util.spec_from_file_location("lora_on_top", path)
    assert found is not None
    assert found.loader is not None
    found.loader.exec_module(importlib.util.module_from_spec(found))
    yield
    del adapter_registry["lora_on_top"]


@pytest.mark.usefixtures("one_file")
def test_a_new_adapter_is_one_file(tmp_path: Path) -> None:
    trainer_args = {"output_dir": str(tmp_path / "out")}
    adapter = {"method": "lora_on_top", "args": {"r": 2, "layers": 1, "init_lora_weights": "pca"}}
    config = tiny_run(tmp_path, lora=None, adapter=adapter, trainer_args=trainer_args)
    assert check_registered_names(config) == []
    trained = train(config)
    assert trained.summary.trainable_parameters == 2 * (32 + 32) + 2 * (32 + 16)  # q_proj and v_proj of one layer
    assert evaluate(config, tmp_path / "results", checkpoint=str(trained.folder)).record.status == "completed"


def test_the_page_lists_every_method_where_it_belongs() -> None:
    first_class = set(re.findall(r"^\| `(\w+)` \|", section("First class"), flags=re.MULTILINE))
    experimental = set(re.findall(r"`(\w+)`", section("Experimental")))
    refused = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Refused"), flags=re.MULTILINE))
    assert first_class == {name for name in adapter_registry if not adapter_registry[name].experimental}
    assert experimental == {name for name in adapter_registry if adapter_registry[name].experimental}
    assert refused == REFUSED
