"""Every first-class adapter through a whole run: trained and scored at once, or saved, loaded and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from sft.adapters import adapter_registry
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.pipeline.endpoints import evaluate, run_experiment, train
from sft.records import read_items
from tests.tiny_models import save_tiny_model
from tests.tiny_runs import tiny_run
from tests.unit.adapters.adapter_arguments import SMALL

FIRST_CLASS = [name for name in adapter_registry if not adapter_registry[name].experimental]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, SMALL.get(name, {})) for name in FIRST_CLASS),
    ("lora", {"use_dora": True}),
    ("lora", {"use_rslora": True, "init_lora_weights": "pissa"}),
    ("adalora", {"init_lora_weights": "pca"}),
]


def config_of(folder: Path, method: str, args: dict[str, Any], **more: Any) -> ExperimentConfig:
    trainer_args = {"output_dir": str(folder / "out"), "max_steps": 8, **more.pop("trainer_args", {})}
    adapter = {"method": method, "args": args}
    return tiny_run(folder, lora=None, adapter=adapter, trainer_args=trainer_args, **more)


GENERATED = {"inference": {"method": "generate"}}


@pytest.mark.parametrize(
    ("method", "args", "more"),
    [
        *((method, args, {}) for method, args in VARIANTS),
        *(
            (method, SMALL.get(method, {}), GENERATED)
            for method in ("prompt_tuning", "prefix_tuning", "adalora", "full")
        ),
    ],
    ids=str,
)
def test_training_and_then_evaluating_gives_what_one_experiment_gives(
    method: str, args: dict[str, Any], more: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of(tmp_path / "one", method, args, **more)
    once = run_experiment(config, tmp_path / "once")
    separate = config_of(tmp_path / "two", method, args, **more)
    folder = train(separate).folder
    twice = evaluate(separate, tmp_path / "twice", checkpoint=str(folder))
    assert read_items(twice.folder) == read_items(once.folder)
    named = separate.model_copy(update={"model": separate.model.model_copy(update={"name": str(folder)})})
    assert read_items(evaluate(named, tmp_path / "named").folder) == read_items(once.folder)
    untrained = evaluate(separate.model_copy(update={"training": None}), tmp_path / "untrained")
    if not more:
        assert read_items(untrained.folder) != read_items(once.folder)


def test_an_experimental_adapter_is_marked_in_the_record(tmp_path: Path) -> None:
    record = run_experiment(config_of(tmp_path, "hira", {}), tmp_path / "results").record
    assert [w for w in record.warnings if "the adapter 'hira' is experimental" in w]


def test_a_wholly_trained_model_is_a_plain_folder_whose_weights_make_the_run(tmp_path: Path) -> None:
    config = config_of(tmp_path, "full", {}, chat=True)
    folder = train(config).folder
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "sft_config.json"} <= names
    assert "adapter_config.json" not in names
    assert AutoModelForCausalLM.from_pretrained(folder)
    first = evaluate(config, tmp_path / "results", checkpoint=str(folder)).record
    assert first.model["base"] == str(folder)
    longer = config_of(tmp_path, "full", {}, chat=True, trainer_args={"max_steps": 2})
    train(longer, overwrite=True)
    second = evaluate(config, tmp_path / "results", checkpoint=str(folder)).record
    assert first.run_id != second.run_id
    assert first.model["adapter_fingerprint"] != second.model["adapter_fingerprint"]


def test_a_wholly_trained_model_can_be_trained_further(tmp_path: Path) -> None:
    folder = train(config_of(tmp_path, "full", {})).folder
    config = config_of(tmp_path / "more", "lora", {"r": 2}, model={"name": str(folder)})
    further = train(config)
    assert further.run_id != train(config_of(tmp_path / "bare", "lora", {"r": 2})).run_id
    record = evaluate(config, tmp_path / "results", checkpoint=str(further.folder)).record
    assert record.model["base"] == str(folder.resolve())


def test_an_adapters_folder_can_be_taken_by_a_whole_model(tmp_path: Path) -> None:
    train(config_of(tmp_path, "lora", {"r": 2}))
    config = config_of(tmp_path, "full", {})
    folder = train(config, overwrite=True).folder
    assert evaluate(config, tmp_path / "results", checkpoint=str(folder)).record.model["adapter"] is None


def test_a_16_bit_base_is_written_in_16_bits_and_scores_as_in_memory(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "bf16")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    model = {"name": str(base), "model_args": {"dtype": "auto"}}
    config = config_of(tmp_path, "full", {}, model=model)
    once = run_experiment(config, tmp_path / "once")
    assert {weight.dtype for weight in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}
    again = evaluate(config, tmp_path / "again", checkpoint=str(tmp_path / "out"))
    assert read_items(again.folder) == read_items(once.folder)


def test_a_quantised_base_is_not_trained_as_a_whole(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    quantization = {"config_class": "BitsAndBytesConfig", "args": {"load_in_8bit": True}}
    with pytest.raises(SftError, match="quantised weights can't be trained"):
        train(config_of(tmp_path, "full", {}, model={"quantization": quantization}))


RESUMED: list[tuple[str, dict[str, Any], str]] = [
    ("full", {}, "model.safetensors"),
    ("ia3", {}, "adapter_model.safetensors"),
    ("oft", SMALL["oft"], "adapter_model.safetensors"),
    ("vera", {}, "adapter_model.safetensors"),
    ("lora", {"use_dora": True}, "adapter_model.safetensors"),
    ("prompt_tuning", SMALL["prompt_tuning"], "adapter_model.safetensors"),
    ("prefix_tuning", SMALL["prefix_tuning"], "adapter_model.safetensors"),
]


@pytest.mark.parametrize(("method", "args", "file"), RESUMED, ids=[f"{m} {a}" for m, a, _ in RESUMED])
def test_a_resumed_training_ends_with_the_same_weights(
    method: str, args: dict[str, Any], file: str, tmp_path: Path
) -> None:
    saving = {"max_steps": 6, "save_steps": 2, "save_strategy": "steps", "save_total_limit": 5}
    config = config_of(tmp_path, method, args, trainer_args=saving)
    folder = train(config).folder
    whole = load_file(folder / file)
    for path in (folder / "checkpoint-6", folder / "checkpoint-4"):
        for part in path.iterdir():
            part.unlink()
        path.rmdir()
    (folder / file).unlink()
    train(config, resume=True)
    resumed = load_file(folder / file)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
