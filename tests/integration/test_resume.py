"""`train --resume` ends where an undisturbed training ends."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.pipeline.endpoints import evaluate, train
from sft.records import read_items
from tests.tiny_runs import tiny_run

ARGS: dict[str, Any] = {"max_steps": 6, "save_steps": 2, "save_strategy": "steps", "logging_steps": 1}


def config_of(tmp_path: Path, name: str, initialization: str | bool = True) -> ExperimentConfig:
    """With dropout, so that the state of the random generators matters too."""
    return tiny_run(
        tmp_path,
        lora={"r": 4, "lora_dropout": 0.2, "init_lora_weights": initialization},
        dataset={"shots": 3},
        trainer_args={**ARGS, "output_dir": str(tmp_path / name)},
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def interrupted(tmp_path: Path, name: str, initialization: str | bool = True) -> Path:
    """The folder of a training that was killed after its second checkpoint; a third was only begun."""
    whole = tmp_path / "whole"
    if not whole.exists():
        train(config_of(tmp_path, "whole", initialization))
    folder = tmp_path / name
    folder.mkdir()
    for part in ("checkpoint-2", "checkpoint-4"):
        shutil.copytree(whole / part, folder / part)
    shutil.copy(whole / "sft_config.json", folder)
    (folder / "checkpoint-6").mkdir()
    return folder


def test_a_resumed_training_ends_with_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    folder = interrupted(tmp_path, "resumed")
    trained = train(config_of(tmp_path, "resumed"), resume=True)
    expected, have = weights(tmp_path / "whole"), weights(folder)
    assert expected.keys() == have.keys()
    assert all(torch.equal(expected[name], have[name]) for name in expected)
    assert trained.summary.steps == 6


@pytest.mark.parametrize("initialization", ["pissa", "lora_ga"])
def test_an_initialisations_residual_is_found_again(initialization: str, tmp_path: Path) -> None:
    """It is in no checkpoint; both halves of the saved factors of twice the rank are those of the whole training."""
    folder = interrupted(tmp_path, "resumed", initialization)
    train(config_of(tmp_path, "resumed", initialization), resume=True)
    expected, have = weights(tmp_path / "whole"), weights(folder)
    assert {value.shape[0] for name, value in have.items() if "lora_A" in name} == {8}
    assert expected.keys() == have.keys()
    assert all(torch.equal(expected[name], have[name]) for name in expected)


def test_it_goes_on_from_the_checkpoints_weights_and_not_from_the_beginning(tmp_path: Path) -> None:
    folder = interrupted(tmp_path, "changed")
    file = folder / "checkpoint-4" / "adapter_model.safetensors"
    save_file({name: value + 1 for name, value in load_file(file).items()}, file, metadata={"format": "pt"})
    train(config_of(tmp_path, "changed"), resume=True)
    expected, have = weights(tmp_path / "whole"), weights(folder)
    # Two steps at the end of the schedule move no weight by as much as 1.
    assert all((have[name] - expected[name]).mean() > 0.5 for name in expected)


def test_resuming_where_there_is_no_checkpoint_starts_from_the_beginning_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(config_of(tmp_path, "whole"))
    train(config_of(tmp_path, "new"), resume=True)
    assert "there is no checkpoint" in caplog.text
    expected, have = weights(tmp_path / "whole"), weights(tmp_path / "new")
    assert all(torch.equal(expected[name], have[name]) for name in expected)


def test_resuming_another_configurations_training_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, "resumed")
    other = config_of(tmp_path, "resumed").model_copy(update={"seed": 14})
    with pytest.raises(SftError, match="by another configuration"):
        train(other, resume=True)


def test_a_checkpoint_of_the_trainer_can_be_evaluated_like_the_finished_adapter(tmp_path: Path) -> None:
    config = config_of(tmp_path, "whole")
    folder = train(config).folder
    runs = [evaluate(config, tmp_path / "results", checkpoint=f"{folder}/{part}") for part in ("checkpoint-6", "")]
    assert read_items(runs[0].folder) == read_items(runs[1].folder)
    earlier = evaluate(config, tmp_path / "results", checkpoint=f"{folder}/checkpoint-2")
    assert read_items(earlier.folder) != read_items(runs[1].folder)
