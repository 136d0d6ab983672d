"""Standard output is for results; GPTQModel prints a banner there, whoever imports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.quantized.kinds import skip_without

_TRAIN_ORDINARY_WEIGHTS = """
import sys
from pathlib import Path
from tests.tiny_models import tiny_loaded
from tests.unit.training.test_train import train
train(tiny_loaded(), Path(sys.argv[1]), max_steps=1)
assert "gptqmodel" in sys.modules, "PEFT doesn't import it any more: this test has nothing left to catch"
"""


@skip_without("gptqmodel")
def test_training_ordinary_weights_prints_nothing_where_gptqmodel_is_installed(
    repository: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _TRAIN_ORDINARY_WEIGHTS, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
