"""Standard output is for results; GPTQModel prints a banner there, whoever imports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.quantized.kinds import skip_without

_TRAIN_ORDINARY_WEIGHTS = """
import sys
from pathlib import Path
from tests.tiny_models import tiny_loaded
from tests.unit.training.test_train import train
train(tiny_loaded(), Path(sys.argv[1]), max_steps=1)
assert "gptqmodel" in sys.modules, "PEFT doesn't import it any more: this test has nothing left to catch"
"""


_TRAIN_QUANTISED_WEIGHTS = """
import sys
from pathlib import Path
from tests.quantised_models import save_wide_model
from tests.unit.models.test_load import load
from tests.unit.training.test_train import train
quantization = {"config_class": "BitsAndBytesConfig", "args": {"load_in_8bit": True}}
loaded = load(save_wide_model(Path(sys.argv[1]) / "base"), quantization=quantization)
train(loaded, Path(sys.argv[1]), max_steps=1)
"""


@skip_without("gptqmodel")
@pytest.mark.parametrize("program", [_TRAIN_ORDINARY_WEIGHTS, _TRAIN_QUANTISED_WEIGHTS], ids=["ordinary", "int8"])
def test_training_prints_nothing_where_gptqmodel_is_installed(program: str, repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", program, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
