"""What a sweep will run, decided before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.load import NamedConfig
from sft.errors import SftError
from sft.experiments.plan import plan
from tests.fakes import make_config


def named(**configs: dict[str, Any]) -> list[NamedConfig]:
    return [NamedConfig(name, make_config(**sections)) for name, sections in configs.items()]


def output(folder: str, **sections: Any) -> dict[str, Any]:
    return {"training": {"trainer_args": {"output_dir": folder}}, **sections}


def test_different_configs_run_in_their_order() -> None:
    runs = plan(named(b={}, a={"seed": 14}, c={"dataset": {"shots": 0}}))
    assert [run.name for run in runs] == ["b", "a", "c"]
    assert runs[1].config.seed == 14


def test_a_config_that_describes_the_same_run_again_runs_once_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    runs = plan(named(first={}, again={"lora": {"r": 4.0}}, other={"seed": 14}))
    assert [run.name for run in runs] == ["first", "other"]
    assert "the configs first and again describe the same run; it runs once" in caplog.text


def test_a_default_of_a_calibration_written_out_describes_the_same_run(caplog: pytest.LogCaptureFixture) -> None:
    left, right = ({"inference": {"calibration": {"method": "domain", "args": args}}} for args in ({}, {"samples": 20}))
    assert [run.name for run in plan(named(a=left, b=right))] == ["a"]
    assert "the configs a and b describe the same run" in caplog.messages[0]


def test_zero_shot_runs_that_differ_in_training_only_are_the_same_run() -> None:
    zero = {"dataset": {"shots": 0}}
    runs = plan(named(a=zero, b={**zero, "lora": {"r": 64}}, c={**zero, "training": None}))
    assert [run.name for run in runs] == ["a"]


@pytest.mark.parametrize("second", ["out", "./out", "out/", "other/../out"])
def test_two_runs_that_write_their_adapters_to_one_folder_are_refused(second: str) -> None:
    with pytest.raises(SftError, match=r"the configs a and b both write their adapter to '.*out/?'"):
        plan(named(a=output("out"), b=output(second, seed=14)))


def test_runs_that_train_nothing_may_share_a_folder() -> None:
    zero = {"dataset": {"shots": 0}}
    runs = plan(named(a=output("out"), b=output("out", **zero), c=output("out", seed=14, **zero)))
    assert len(runs) == 3


def test_runs_with_folders_of_their_own_are_accepted() -> None:
    assert len(plan(named(a=output("out/a"), b=output("out/b", seed=14)))) == 2
