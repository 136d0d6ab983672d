"""`run_experiment` is `train` and then `evaluate`, and both depend on config and seed alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.errors import ModelError, SftError, TrainingError
from sft.pipeline.endpoints import Run, evaluate, run_experiment, train
from sft.records import read_items, read_record
from tests.tiny_models import save_tiny_model
from tests.tiny_runs import tiny_run

CONTEXTUAL = {"calibration": {"method": "contextual"}}


def items(run: Run) -> list[dict[str, Any]]:
    return read_items(run.folder)


def scores(run: Run) -> np.ndarray:
    return np.array([item["scores"] for item in items(run)])


def with_seeds(config: ExperimentConfig, **seeds: int) -> ExperimentConfig:
    return config.model_copy(update=seeds)


def kept(folder: Path, **arguments: Any) -> ExperimentConfig:
    """A tiny run whose adapter goes to `<folder>/adapter`."""
    trainer_args = {"output_dir": str(folder / "adapter"), **arguments.pop("trainer_args", {})}
    return tiny_run(folder, trainer_args=trainer_args, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"chat": True, "prompting": {"instruction": "Judge."}},
        {"architecture": "gpt2", "inference": {"icl_examples": 1, "label_end": "eot", **CONTEXTUAL}},
        {"inference": {"calibration": {"method": "batch"}}, "training": {"icl_examples": 1}},
        {"inference": {"method": "generate", "generation_args": {"max_new_tokens": 4}}},
        {"dataset": {"shots": None}, "lora": {"r": 2, "init_lora_weights": "pca"}},
        {"trainer_args": {"bf16": True}},
        {"model": {"model_args": {"dtype": "bfloat16"}}},
    ],
    ids=[
        "plain",
        "chat",
        "gpt2 with examples",
        "batch calibration",
        "generate",
        "all rows, pca",
        "mixed precision",
        "bfloat16",
    ],
)
def test_training_and_then_evaluating_gives_what_one_experiment_gives(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    config = kept(tmp_path, **arguments)
    once = run_experiment(config, tmp_path / "once")
    separate = kept(tmp_path / "again", **arguments)
    trained = train(separate)
    twice = evaluate(separate, tmp_path / "twice", checkpoint=str(trained.folder))
    assert twice.record.results == once.record.results
    assert twice.record.baselines == once.record.baselines
    assert items(twice) == items(once)
    untrained = evaluate(config.model_copy(update={"training": None}), tmp_path / "untrained")
    if "scores" in items(once)[0]:
        assert np.abs(scores(untrained) - scores(once)).max() > 0.01


def test_a_folder_that_train_wrote_serves_as_model_name_and_as_checkpoint(tmp_path: Path) -> None:
    config = kept(tmp_path)
    folder = train(config).folder
    by_checkpoint = evaluate(config, tmp_path / "results", checkpoint=str(folder))
    named = config.model.model_copy(update={"name": str(folder)})
    by_name = evaluate(config.model_copy(update={"model": named}), tmp_path / "results")
    assert items(by_name) == items(by_checkpoint)
    assert by_name.record.model["adapter"] == by_checkpoint.record.model["adapter"] == str(folder)
    assert by_name.record.model["base"] == str(config.model.name)


def test_the_same_seed_gives_the_same_run_to_the_last_digit(tmp_path: Path) -> None:
    runs = [run_experiment(tiny_run(tmp_path), tmp_path / name) for name in ("first", "second")]
    assert runs[0].record.run_id == runs[1].record.run_id
    assert items(runs[0]) == items(runs[1])
    assert runs[0].record.results == runs[1].record.results


def test_another_training_seed_gives_another_training_on_the_same_rows(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    first = run_experiment(config, tmp_path / "results")
    second = run_experiment(with_seeds(config, train_seed=99), tmp_path / "results")
    assert np.abs(scores(first) - scores(second)).max() > 1e-3
    assert first.record.data["pool_row_numbers"] == second.record.data["pool_row_numbers"]
    assert first.record.run_id != second.record.run_id


def test_without_shots_no_adapter_is_made_and_the_experiment_is_an_evaluation(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, dataset={"shots": 0}, lora=None)
    bare = config.model_copy(update={"training": None})
    experiment = run_experiment(bare, tmp_path / "results")
    assert experiment.record.training is None
    assert experiment.record.model["adapter"] is None
    evaluation = evaluate(bare, tmp_path / "evaluated")
    assert items(evaluation) == items(experiment)
    assert evaluation.record.run_id == experiment.record.run_id


def test_an_experiment_keeps_its_adapter_only_where_it_is_told_to(tmp_path: Path) -> None:
    run_experiment(tiny_run(tmp_path / "a"), tmp_path / "results")
    assert not list((tmp_path / "a").rglob("adapter_model.safetensors"))
    config = kept(tmp_path / "b")
    run_experiment(config, tmp_path / "results")
    assert (tmp_path / "b" / "adapter" / "adapter_model.safetensors").exists()


def test_an_adapter_in_the_output_folder_that_is_not_used_is_warned_about(tmp_path: Path) -> None:
    config = kept(tmp_path)
    assert evaluate(config, tmp_path / "before").record.warnings == []
    folder = train(config).folder
    unused = evaluate(config, tmp_path / "unused").record
    assert [w for w in unused.warnings if f"pass --checkpoint {folder}" in w]
    assert read_record(tmp_path / "unused" / unused.folder_name).warnings == unused.warnings
    used = evaluate(config, tmp_path / "used", checkpoint=f"{folder}/../adapter").record
    assert used.warnings == []


def test_the_folder_of_train_holds_the_config_that_made_it(tmp_path: Path) -> None:
    config = kept(tmp_path)
    trained = train(config)
    marker = json.loads((trained.folder / "sft_config.json").read_text(encoding="utf-8"))
    assert marker["run_id"] == trained.run_id
    assert ExperimentConfig.model_validate(marker["config"]) == config


def test_a_folder_of_another_seed_is_refused_unless_overwritten(tmp_path: Path) -> None:
    config = kept(tmp_path)
    train(config)
    other = with_seeds(config, seed=14)
    with pytest.raises(SftError, match="by another configuration"):
        train(other)
    assert train(other, overwrite=True).run_id != train(config, overwrite=True).run_id


@pytest.mark.parametrize("shown", [0, 2])
def test_training_without_shots_is_refused_even_where_there_are_examples_to_show(shown: int, tmp_path: Path) -> None:
    config = kept(tmp_path, dataset={"shots": 0}, inference={"icl_examples": shown})
    with pytest.raises(TrainingError, match=r"dataset\.shots is 0"):
        train(config)
    assert not (tmp_path / "adapter").exists()


def test_training_without_an_output_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftError, match="output_dir is missing"):
        train(tiny_run(tmp_path))


def test_training_on_top_of_an_adapter_is_refused_naming_its_base(tmp_path: Path) -> None:
    config = kept(tmp_path)
    folder = train(config).folder
    named = config.model_copy(update={"model": config.model.model_copy(update={"name": str(folder)})})
    for attempt in (lambda: train(named, overwrite=True), lambda: run_experiment(named, tmp_path / "results")):
        with pytest.raises(ModelError, match="training starts from a model without one") as caught:
            attempt()
        assert str(config.model.name) in (caught.value.hint or "")


def test_training_with_offloaded_weights_is_refused(tmp_path: Path) -> None:
    offloaded = {"model_args": {"parallelize": True, "max_memory": {"cpu": "50KB"}}}
    with pytest.raises(TrainingError, match="some are offloaded"):
        run_experiment(tiny_run(tmp_path, model=offloaded), tmp_path / "results")


def test_a_checkpoint_of_another_architecture_is_an_error_of_the_user(tmp_path: Path) -> None:
    folder = train(kept(tmp_path)).folder
    other = tiny_run(tmp_path, model={"name": str(save_tiny_model(tmp_path / "other", "gpt2"))})
    with pytest.raises(SftError, match="can't put the adapter"):
        evaluate(other, tmp_path / "results", checkpoint=str(folder))
