"""A user's own initialisation, from a module outside the package: by `--import`, in a sweep too, or an entry point."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sft.api import load_config
from sft.errors import SftError
from sft.plugins import import_modules, load_entry_points
from tests.conftest import REPOSITORY
from tests.fakes import write_config
from tests.tiny_runs import tiny_run

MODULE = """
import torch
from sft.initialization.initializers import initializer_registry
from sft.initialization.utils import dequantize


@initializer_registry.register("{name}")
def constant(layer, rank, dtype=torch.bfloat16, *, value: float = 0.5):
    n_out, n_in = dequantize(layer).shape
    return {{"lora_A": torch.full((rank, n_in), value, dtype=dtype), "lora_B": torch.zeros(n_out, rank, dtype=dtype)}}
"""


def sft(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    # As the console script: without the working directory on Python's path.
    command = [sys.executable, "-c", "import sys; sys.path.pop(0); from sft.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def config_of(folder: Path, name: str, **args: float) -> Path:
    lora = {"r": 2, "target_modules": ["q_proj"], "init_lora_weights": {"method": name, "args": args}}
    return write_config(folder / "config.json", tiny_run(folder, lora=lora).model_dump(mode="json"))


def test_a_sweep_uses_an_initialisation_of_a_module_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(MODULE.format(name="my own"))
    config_of(tmp_path, "my own", value=0.25)
    done = sft(tmp_path, "run-experiments", "config.json", "--import", "my_module", "--results-path", "results")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*/record.json")
    record = json.loads(path.read_text())
    initialization = record["training"]["initialization"]
    assert initialization["method"] == "my own"
    assert initialization["args"] == {"value": 0.25}
    assert record["environment"]["imports"] == ["my_module"]


def test_without_the_import_the_name_is_unknown_and_an_argument_of_it_is_checked(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(MODULE.format(name="my own"))
    config_of(tmp_path, "my own", valu=1.0)
    unknown = sft(tmp_path, "run-experiment", "config.json")
    assert unknown.returncode == 2
    assert "lora.init_lora_weights.method: no initialisation is named 'my own'" in unknown.stderr
    misspelt = sft(tmp_path, "run-experiment", "config.json", "--import", "my_module")
    assert misspelt.returncode == 2
    assert "lora.init_lora_weights.args.valu: no argument of the initialisation 'my own'" in misspelt.stderr
    assert "did you mean 'value'?" in misspelt.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [(None, "No module named 'absent'"), ("1 / 0", "ZeroDivisionError"), ("import no_such_thing", "no_such_thing")],
)
def test_a_module_that_cannot_be_imported_is_an_error_that_names_it(
    text: str | None, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    if text is not None:
        (tmp_path / "absent.py").write_text(text)
    with pytest.raises(SftError, match=rf"--import absent can't be imported: .*{part}"):
        import_modules(["absent"])


def test_an_installed_packages_entry_point_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are found by their metadata on Python's path; this one is nothing but a module and its metadata."""
    (tmp_path / "plugged_in.py").write_text(MODULE.format(name="plugged in"))
    metadata = tmp_path / "plugged_in-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-in\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sft.plugins]\nanything = plugged_in\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    load_entry_points.cache_clear()
    from sft.initialization.initializers import initializer_registry

    try:
        load_config(config_of(tmp_path, "plugged in", value=1.0))
        assert "plugged in" in initializer_registry
    finally:
        load_entry_points.cache_clear()
        initializer_registry.pop("plugged in", None)
        sys.modules.pop("plugged_in", None)
