"""docs/initialisations.md: its example works as one file, and its table says what the registry says."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from sft.initialization.dequantizers import dequantizer_registry
from sft.initialization.initializers import initializer_registry
from sft.initialization.initializers.base import arguments_of
from sft.initialization.utils import dequantize
from sft.pipeline.checks import check_registered_names
from sft.pipeline.endpoints import run_experiment
from tests.conftest import REPOSITORY
from tests.docs.blocks import file_of
from tests.tiny_runs import tiny_run

PATH = REPOSITORY / "docs" / "initialisations.md"
PAGE = PATH.read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "random_rows.py"
    path.write_text(file_of(PATH, path.name), encoding="utf-8")
    found = importlib.util.spec_from_file_location("random_rows", path)
    assert found is not None
    assert found.loader is not None
    found.loader.exec_module(importlib.util.module_from_spec(found))
    yield
    del initializer_registry["random_rows"]


class SignLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.signs = torch.where(torch.rand(6, 5, generator=generator) > 0.5, 1, -1).to(torch.int8)
        self.scales = torch.rand(6, generator=generator)


@pytest.mark.usefixtures("example")
def test_a_new_initialisation_is_one_file(tmp_path: Path) -> None:
    spec = {"method": "random_rows", "args": {"normalise": False}}
    config = tiny_run(tmp_path, lora={"r": 2, "target_modules": ["q_proj"], "init_lora_weights": spec})
    assert check_registered_names(config) == []
    record = run_experiment(config, tmp_path / "results").record
    assert record.training["initialization"]["method"] == "random_rows"


def test_a_new_dequantizer_is_one_function_and_every_initialisation_of_weights_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dequantizer_registry, "_entries", dict(dequantizer_registry))
    dequantizer_registry["SignLinear"] = lambda layer: layer.signs.float() * layer.scales[:, None]
    layer = SignLinear()
    weight = layer.signs.float() * layer.scales[:, None]
    assert torch.equal(dequantize(layer), weight)
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    made = initializer_registry["pissa"](layer, 2, dtype=torch.float32)
    torch.testing.assert_close(made["lora_B"] @ made["lora_A"], (u[:, :2] * s[:2]) @ vh[:2], atol=1e-5, rtol=1e-4)


def test_the_table_lists_every_initialisation_with_its_arguments_and_defaults() -> None:
    table = PAGE.split("## A new one")[0]
    rows = re.findall(r"^\| `(\w+)` \| .*? \| [^|]*? \| ([^|]*?) ?\|", table, flags=re.MULTILINE)
    listed = {name: dict(re.findall(r"`(\w+)` \(`?([\w.]+)`?", arguments)) for name, arguments in rows}
    known = {}
    for name, initializer in initializer_registry.items():
        parameters = inspect.signature(initializer).parameters
        known[name] = {key: str(parameters[key].default).lower() for key in arguments_of(initializer)}
    known["lora_ga"]["gamma"] = "16"  # 16.0
    assert listed == known
