"""A new user's mistakes: each gets one readable message and exit code 2, never a traceback."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Ended
from tests.fakes import byte_tokenizer, config_value, write_config, write_dataset, write_jsonl

ONE_CONFIG = ["train", "predict", "evaluate", "run-experiment"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a data set and with a model folder that nothing gets far enough to load."""
    write_dataset(tmp_path / "data")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    byte_tokenizer().save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value(**sections: Any) -> dict[str, Any]:
    dataset = {"path": "data", **sections.pop("dataset", {})}
    model = {"name": "model", **sections.pop("model", {})}
    training = {"trainer_args": {"output_dir": "adapter"}}
    return config_value(dataset=dataset, model=model, training=training, **sections)


def refused(ended: Ended, *parts: str) -> None:
    """One message, on stderr, that holds all `parts`."""
    assert ended.code == 2, ended
    assert ended.err.startswith("error: ")
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err + ended.out
    assert ended.out == ""
    for part in parts:
        assert part in ended.err
    assert len(ended.err) < 1000


# The ten mistakes of the issue that one value of a config makes: (the value, what the message says).
MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "typo in a key": (value(dataset={"shot": 4}), ["config.json: 1 problem", "dataset.shot: unknown key", "'shots'?"]),
    "wrong type": (value(dataset={"shots": "4"}), ["config.json", 'dataset.shots: got "4": must be an integer']),
    "missing split": (value(dataset={"path": "only_train"}), ["'only_train' has no split 'test'; it has: train"]),
    "missing column": (
        value(prompting={"input_columns": ["txt"]}),
        ["split 'train' of 'data' has no column 'txt'; it has: text, label", "did you mean 'text'?"],
    ),
    "unknown quantization class": (
        value(model={"quantization": {"config_class": "BitsAndBytes"}}),
        ["model.quantization.config_class: 'BitsAndBytes' is no quantization", "did you mean 'BitsAndBytesConfig'?"],
    ),
    "label with no example": (
        value(dataset={"labels": ["negative", "neutral", "positive", "mixed"]}),
        ["the label 'mixed' has no training example", "fix: "],
    ),
    "absent model folder": (
        value(model={"name": "./models/qwen"}),
        ["model.name: no file or folder './models/qwen' (working directory: ", "holds: ", "model"],
    ),
    "negative shots": (value(dataset={"shots": -4}), ["config.json", "dataset.shots: got -4: must be >= 0"]),
    # Beside the ten: what a new user is as likely to do.
    "unknown hub model": (value(model={"name": "nobody/no-such-model"}), ["'nobody/no-such-model'", "fix: "]),
    "unknown hub data set": (value(dataset={"path": "nobody/no-such-data"}), ["'nobody/no-such-data'", "fix: "]),
    "a folder that is no model": (value(model={"name": "data"}), ["model.name 'data' holds neither config.json nor"]),
}


@pytest.mark.parametrize("command", ONE_CONFIG)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_config_is_one_message(
    mistake: str, command: str, folder: Path, sft: Callable[..., Ended]
) -> None:
    wrong, parts = MISTAKES[mistake]
    write_jsonl(folder / "only_train" / "train.jsonl", [{"text": "x", "label": "a"}])
    refused(sft(command, write_config(folder / "config.json", wrong)), *parts)


@pytest.mark.parametrize("command", [*ONE_CONFIG, "run-experiments"])
def test_invalid_jsonnet_is_told_with_its_place(command: str, folder: Path, sft: Callable[..., Ended]) -> None:
    (folder / "config.jsonnet").write_text("{\n  dataset: { shots: 8,\n  model: }\n}")
    refused(sft(command, "config.jsonnet"), "config.jsonnet", "invalid JSONNET", ":3:10")


@pytest.mark.parametrize("command", ["predict", "evaluate", "run-experiment", "run-experiments"])
def test_a_results_path_that_cannot_be_written_is_told_before_anything_is_done(
    command: str, folder: Path, sft: Callable[..., Ended]
) -> None:
    """Below a regular file, because tests may run as root, who may write into any folder."""
    (folder / "file").touch()
    config = write_config(folder / "config.json", value())
    refused(sft(command, config, "--results-path", "file/results"), "--results-path: can't write into 'file")


def test_mistakes_in_a_sweep_are_told_once_before_any_run_starts(folder: Path, sft: Callable[..., Ended]) -> None:
    wrong = {"configs": {"a": value(), "b": value(dataset={"shots": -4}), "c": value(dataset={"shots": -4})}}
    ended = sft("run-experiments", write_config(folder / "sweep.json", wrong))
    refused(ended, "sweep.json: 1 problem", "dataset.shots: got -4: must be >= 0 [in 2 of 3 configs: b, c]")
    assert not (folder / "results").exists()


USAGE = [
    (["run-experiment", "nowhere.json"], "no such config: nowhere.json"),
    (["run-experiment", "config.json", "-o", "dataset.shots"], "is not of the form section.key=value"),
    (["run-experiment", "config.json", "-o", "dataset.shots=many"], 'dataset.shots: got "many": must be an integer'),
    (["evaluate", "config.json", "--checkpoint", "data"], "--checkpoint 'data' holds neither adapter_config.json nor"),
    (["predict", "config.json", "--input", "nowhere.csv"], "--input: no file or folder 'nowhere.csv'"),
    (["model", "merge", "data", "merged"], "'data' holds no adapter"),
    (["model", "merge", "model", "merged"], "'model' holds complete weights, which need no merging"),
    (["config", "show", "config.json", "-o", "sed=1"], "sed: unknown key (fix: did you mean 'seed'?)"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_a_mistake_on_the_command_line_is_one_message(
    arguments: list[str], message: str, folder: Path, sft: Callable[..., Ended]
) -> None:
    write_config(folder / "config.json", value())
    refused(sft(*arguments), message)


@pytest.mark.parametrize("arguments", [["run-experiment"], ["no-such-command"], ["train", "x.json", "--random-seed=a"]])
def test_a_wrong_call_shows_its_usage_and_exits_with_2(arguments: list[str], sft: Callable[..., Ended]) -> None:
    ended = sft(*arguments)
    assert ended.code == 2
    assert "Usage: " in ended.err
    assert "Traceback" not in ended.err


def test_a_real_process_ends_in_the_same_way(folder: Path) -> None:
    path = write_config(folder / "config.json", value(dataset={"shots": -4}))
    command = [sys.executable, "-m", "sft.cli", "run-experiment", str(path)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    refused(Ended(done.returncode, done.stdout, done.stderr), "dataset.shots: got -4: must be >= 0")


def test_the_same_folder_without_a_mistake_is_not_refused_for_its_config(
    folder: Path, sft: Callable[..., Ended]
) -> None:
    """So the mistakes above are what is refused; this one gets as far as the weights, which aren't there."""
    ended = sft("run-experiment", write_config(folder / "config.json", value()))
    refused(ended, "model")
    assert "config.json" not in ended.err


def test_show_prints_a_valid_config_resolved(folder: Path, sft: Callable[..., Ended]) -> None:
    path = write_config(folder / "config.json", value(lora=None))
    ended = sft("config", "show", path, "-o", "dataset.shots=0", "--random-seed", "5")
    shown = json.loads(ended.out)
    assert ended.code == 0
    assert (shown["seed"], shown["dataset"]["shots"], shown["dataset"]["deduplicate"]) == (5, 0, True)
    assert shown["inference"]["batch_size"] == "auto"
    write_config(folder / "again.json", shown)
    assert json.loads(sft("config", "show", "again.json").out) == shown


@pytest.mark.skipif(importlib.util.find_spec("gptqmodel") is not None, reason="GPTQModel is installed")
@pytest.mark.parametrize("method", ["awq", "gptq"])
def test_quantised_weights_without_their_library_are_one_message(
    sft: Callable[..., Ended], folder: Path, method: str
) -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": method, "bits": 4, "group_size": 128}}
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    ended = sft("evaluate", write_config(folder / "config.json", value(dataset={"shots": 0})))
    assert ended.code == 2
    assert ended.out == ""
    assert f"a model quantised by {method} needs the package 'gptqmodel'" in ended.err
    assert "Traceback" not in ended.err


# (options of `sft curve`, changes of the config, a part of the message)
CURVES: list[tuple[list[str], dict[str, Any], str]] = [
    (["--shots", "0,four"], {}, "--shots: '0,four' is no list of whole numbers"),
    (["--shots", "4", "--methods", "zero,lroa"], {}, "did you mean 'lora'?"),
    (["--shots", "4", "--methods", "lora"], {"lora": None}, "lora: the method 'lora' needs this section"),
    (["--shots", "4", "--calibrations", "none,contextal"], {}, "did you mean 'contextual'?"),
    (["--shots", "4"], {"inference": None}, "inference: `curve` needs this section"),
]


@pytest.mark.parametrize(("options", "changes", "message"), CURVES, ids=[message for _, _, message in CURVES])
def test_a_curve_that_makes_no_sense_is_refused_before_anything_runs(
    sft: Callable[..., Ended], folder: Path, options: list[str], changes: dict[str, Any], message: str
) -> None:
    ended = sft("curve", write_config(folder / "x.json", value(**changes)), *options)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (folder / "results").exists()
