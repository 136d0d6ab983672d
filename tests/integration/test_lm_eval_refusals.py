"""What can't be a task of lm-eval is refused with the reason, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sft.cli import app
from sft.errors import SftError
from sft.lm_eval.commands import hf_model
from sft.lm_eval.export import export_lm_eval
from sft.models.source import ModelSource
from tests.fakes import IM_END, make_config, write_config
from tests.tiny_runs import tiny_run

GENERATION = {"dataset": {"task_type": "generation"}, "lora": None}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "generation": (GENERATION, "dataset.task_type: 'generation' has no counterpart"),
    "parsed labels": ({"inference": {"method": "generate"}}, "inference.method: 'generate'"),
    "calibration": ({"inference": {"calibration": {"method": "contextual"}}}, "inference.calibration: 'contextual'"),
    "pmi": ({"inference": {"score_normalization": "pmi"}}, "inference.score_normalization: the harness has no 'pmi'"),
    "mean by characters in a chat": (
        {"chat": True, "inference": {"score_normalization": "characters"}},
        "lm-eval divides by the length of all that it scores",
    ),
    "special tokens in the data": (
        {"test": [{"text": f"message {i} {IM_END * (i < 2)}", "label": "neutral"} for i in range(3)]},
        r"2 of 3 test rows \(rows 0, 1\) .*: 2 hold the name of a special token",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str, tmp_path: Path) -> None:
    sections, message = REFUSED[name]
    config = tiny_run(tmp_path, **sections)
    with pytest.raises(SftError, match=message):
        export_lm_eval(config, tmp_path / "task")
    assert not (tmp_path / "task").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(SftError, match="is not empty"):
        export_lm_eval(make_config(), Path(__file__).parent)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SftError, match="file/task': can't be written"):
        export_lm_eval(tiny_run(tmp_path), tmp_path / "file" / "task")


@pytest.mark.parametrize(
    "model",
    [
        {"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True}}},
        {"model_args": {"max_memory": {"0": "10GB"}}},
    ],
    ids=["quantised", "placed by hand"],
)
def test_a_model_that_hf_can_not_be_told_of_has_no_command_for_it(model: dict[str, Any]) -> None:
    config = make_config(model=model).model
    assert hf_model(config, ModelSource("base", None), None, None) is None


def test_arguments_of_the_model_are_passed_on() -> None:
    config = make_config(model={"model_args": {"dtype": "bfloat16", "revision": "main"}}).model
    made = hf_model(config, ModelSource("base", None), False, 5000)
    assert made is not None
    assert made.arguments == {
        "pretrained": "base",
        "dtype": "bfloat16",
        "softmax_dtype": "float32",
        "add_bos_token": False,
        "max_length": 5000,
        "revision": "main",
    }


def test_the_command_writes_the_task_and_says_how_to_run_it(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", tiny_run(tmp_path).model_dump(mode="json"))
    out = ["--out", str(tmp_path / "task")]
    result = CliRunner().invoke(app, ["model", "export-lm-eval", str(config), *out, "-o", "dataset.max_n_test=3", "-q"])
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "task").iterdir())
    assert [name for name in names if not name.endswith(".yaml")] == ["README.md", "config.json", "test.jsonl"]
    assert len(names) == 4
    first, second = result.stdout.splitlines()
    assert first == "3 rows; acc is accuracy"
    assert second.startswith(f"cd {tmp_path / 'task'} && HF_HUB_OFFLINE=1")


def test_what_was_trained_and_is_not_exported_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "adapter_config.json").write_text("{}")
    export_lm_eval(tiny_run(tmp_path, trainer_args={"output_dir": str(trained)}), tmp_path / "task")
    assert f"pass --checkpoint {trained}" in caplog.text
