"""What a sweep will run, decided before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.load import NamedConfig
from sft.errors import SftError
from sft.experiments.plan import plan, tasks_of
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
    assert (
        "1 of 3 configs describe the same run as another (in brackets), which runs once: again (first)" in caplog.text
    )


def test_a_default_of_a_calibration_written_out_describes_the_same_run(caplog: pytest.LogCaptureFixture) -> None:
    left, right = ({"inference": {"calibration": {"method": "domain", "args": args}}} for args in ({}, {"samples": 20}))
    assert [run.name for run in plan(named(a=left, b=right))] == ["a"]
    assert "which runs once: b (a)" in caplog.messages[0]


def test_zero_shot_runs_that_differ_in_training_only_are_the_same_run() -> None:
    zero = {"dataset": {"shots": 0}}
    runs = plan(named(a=zero, b={**zero, "lora": {"r": 64}}, c={**zero, "training": None}))
    assert [run.name for run in runs] == ["a"]


@pytest.mark.parametrize("second", ["out", "./out", "out/", "other/../out"])
def test_two_runs_that_write_their_adapters_to_one_folder_are_refused(second: str) -> None:
    with pytest.raises(SftError, match=r"the configs a and b both write their adapter to '.*out/?'"):
        plan(named(a=output("out"), b=output(second, seed=14)))


def test_runs_that_train_nothing_may_share_a_folder() -> None:
    zero = {"dataset": {"shots": 0}, "inference": {"icl_examples": 1}}
    runs = plan(named(a=output("out"), b=output("out", **zero), c=output("out", seed=14, **zero)))
    assert len(runs) == 3


def test_runs_with_folders_of_their_own_are_accepted() -> None:
    assert len(plan(named(a=output("out/a"), b=output("out/b", seed=14)))) == 2


def test_a_zero_shot_run_over_seeds_is_one_run(caplog: pytest.LogCaptureFixture) -> None:
    zero = {"dataset": {"shots": 0}}
    runs = plan(named(**{f"seed {seed}": {**zero, "seed": seed} for seed in range(6)}))
    assert [run.name for run in runs] == ["seed 0"]
    assert "5 of 6 configs" in caplog.text
    assert caplog.text.rstrip().endswith("seed 3 (seed 0) and 2 more")


def calibrated(method: str, **args: Any) -> dict[str, Any]:
    return {"inference": {"calibration": {"method": method, "args": args}}}


def names(runs: Any) -> list[list[str]]:
    return [[run.name for run in task.runs] for task in tasks_of(plan(runs))]


def test_runs_that_differ_in_what_is_done_with_answers_are_one_task() -> None:
    runs = named(
        plain={},
        batch=calibrated("batch"),
        bytes={"inference": {"score_normalization": "bytes"}},
        metrics={"evaluation": {"metrics": ["accuracy"]}},
        other_seed={"seed": 14},
        other_seed_batch={"seed": 14, **calibrated("batch")},
        icl={"inference": {"icl_examples": 1}},
    )
    assert names(runs) == [["plain", "batch", "bytes", "metrics"], ["other_seed", "other_seed_batch"], ["icl"]]


def test_the_run_whose_calibration_reads_a_file_comes_first_and_another_file_is_another_task() -> None:
    runs = named(
        plain={},
        a=calibrated("batch", estimate_on="unlabelled", unlabelled_path="a.jsonl"),
        b=calibrated("batch", estimate_on="unlabelled", unlabelled_path="b.jsonl"),
    )
    assert sorted(names(runs)) == [["a", "plain"], ["b"]]


def test_random_words_of_other_seeds_are_other_tasks() -> None:
    zero = {"dataset": {"shots": 0}}
    runs = named(
        plain=zero,
        one={**zero, **calibrated("domain"), "icl_seed": 1},
        two={**zero, **calibrated("domain"), "icl_seed": 2},
        fixed={**zero, **calibrated("contextual"), "icl_seed": 3},
    )
    assert sorted(map(sorted, names(runs))) == [["fixed", "one", "plain"], ["two"]]


def test_the_first_run_scores_the_shots_where_another_of_its_task_needs_them() -> None:
    (task,) = tasks_of(plan(named(plain={}, temperature=calibrated("temperature"))))
    assert task.runs[0].config.inference_or_default.score_shots
    (alone,) = tasks_of(plan(named(plain={})))
    assert not alone.runs[0].config.inference_or_default.score_shots
