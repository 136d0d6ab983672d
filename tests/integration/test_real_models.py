"""The same endpoints on pretrained weights: learning from shots, chat, quantised, offloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.pipeline.endpoints import Run, evaluate, run_experiment, train
from sft.records import read_items
from tests.fakes import make_config
from tests.unit.models.test_load import on_cpu

LORA = {"r": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]}
TRAINER_ARGS = {"learning_rate": 2e-3, "num_train_epochs": 3, "per_device_train_batch_size": 4}


def sst2_config(assets: Path, name: str, **sections: Any) -> ExperimentConfig:
    """Movie reviews, as the README of the models prompts them."""
    plain = {"template": "Review: {text}\nIt was", "format": "plain"}
    return make_config(
        dataset={
            "path": str(assets / "data" / "sst2"),
            "labels": {"negative": " terrible", "positive": " great"},
            **sections.pop("dataset", {}),
        },
        model={"name": str(assets / "models" / name), **sections.pop("model", {})},
        prompting=sections.pop("prompting", plain),
        lora=LORA,
        training={"trainer_args": {**TRAINER_ARGS, **sections.pop("trainer_args", {})}},
        **sections,
    )


def scores(run: Run) -> np.ndarray:
    return np.array([item["scores"] for item in read_items(run.folder)])


def test_a_real_model_learns_from_shots(assets: Path, tmp_path: Path) -> None:
    """By hand, base-8m got 0.6 zero-shot and 0.75 after 32 rows (shared/models/README.md)."""
    config = sst2_config(assets, "base-8m", dataset={"shots": 12, "max_n_test": 60})
    trained = run_experiment(config, tmp_path)
    bare = evaluate(config, tmp_path)
    assert trained.record.results["nll"] < bare.record.results["nll"]
    assert trained.record.results["accuracy"] > max(0.62, bare.record.results["accuracy"])
    assert trained.record.counts["label_budget"] == {"negative": 12, "positive": 12}
    assert trained.record.data["test_row_numbers"] == bare.record.data["test_row_numbers"]


def test_a_real_chat_model_runs_end_to_end(assets: Path, tmp_path: Path) -> None:
    config = sst2_config(
        assets,
        "base-6m",
        dataset={"shots": 2, "max_n_test": 10},
        prompting={"instruction": "Is the review terrible or great?"},
        inference={"icl_examples": 1},
        trainer_args={"max_steps": 2, "output_dir": str(tmp_path / "adapter")},
    )
    once = run_experiment(config, tmp_path / "results")
    assert once.record.inference["format"] == "chat"
    assert once.record.inference["label_end"] == "eot"
    again = evaluate(config, tmp_path / "again", checkpoint=str(tmp_path / "adapter"))
    assert read_items(again.folder) == read_items(once.folder)


@on_cpu
@pytest.mark.parametrize(
    "args", [{"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, {"load_in_8bit": True}], ids=["nf4", "int8"]
)
def test_a_quantised_model_is_trained_and_scored(args: dict[str, Any], assets: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra `quantization` is not installed")
    config = sst2_config(
        assets,
        "base-8m",
        dataset={"shots": 2, "max_n_test": 4},
        model={"quantization": {"config_class": "BitsAndBytesConfig", "args": args}},
        trainer_args={"output_dir": str(tmp_path / "adapter"), "max_steps": 2, "logging_steps": 1},
    )
    bare = evaluate(config, tmp_path / "bare")
    once = run_experiment(config, tmp_path / "once")
    assert once.record.training is not None
    losses = [entry["loss"] for entry in once.record.training["log"] if "loss" in entry]
    assert len(losses) == 2
    assert losses[-1] < losses[0]
    assert np.abs(scores(once) - scores(bare)).max() > 0.05
    again = evaluate(config, tmp_path / "again", checkpoint=str(tmp_path / "adapter"))
    np.testing.assert_allclose(scores(again), scores(once), atol=1e-5)


@on_cpu
@pytest.mark.parametrize("no_split", [None, ["LlamaDecoderLayer"]], ids=["any split", "whole layers"])
def test_an_offloaded_model_with_a_trained_adapter_gives_the_same_results(
    no_split: list[str] | None, assets: Path, tmp_path: Path
) -> None:
    config = sst2_config(
        assets,
        "base-8m",
        dataset={"shots": 4, "max_n_test": 10},
        trainer_args={"output_dir": str(tmp_path / "adapter"), "max_steps": 2},
    )
    folder = str(train(config).folder)
    in_memory = evaluate(config, tmp_path / "memory", checkpoint=folder)
    arguments = {"parallelize": True, "max_memory": {"cpu": "12MB"}}
    if no_split is not None:
        arguments["no_split_module_classes"] = no_split
    offloaded = config.model_copy(update={"model": config.model.model_copy(update={"model_args": arguments})})
    on_disk = evaluate(offloaded, tmp_path / "disk", checkpoint=folder)
    np.testing.assert_allclose(scores(on_disk), scores(in_memory), atol=1e-5)
    predictions = [[item["prediction"] for item in read_items(run.folder)] for run in (on_disk, in_memory)]
    assert predictions[0] == predictions[1]
    assert on_disk.record.results["accuracy"] == in_memory.record.results["accuracy"]
