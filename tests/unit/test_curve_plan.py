"""What `sft curve` runs, decided before anything runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sft.config.schema import ExperimentConfig
from sft.errors import ConfigError, SftError
from sft.experiments.curve import CurveSpec, plan_curve
from sft.experiments.plan import plan
from tests.fakes import make_config

SELECT = {"trainer_args": {}, "select": {"grid": {"learning_rate": [1e-3, 1e-4]}}}


def planned(spec: CurveSpec, **sections: Any) -> dict[str, ExperimentConfig]:
    return dict(plan_curve(make_config(**sections), spec).runs)


def summary(config: ExperimentConfig) -> tuple[Any, ...]:
    """(shots, in-context examples of training and inference, seed)"""
    assert config.training is not None
    return config.dataset.shots, config.training.icl_examples, config.inference_or_default.icl_examples, config.seed


def test_every_method_meets_every_number_of_shots_and_seed_and_zero_shot_runs_once() -> None:
    runs = planned(CurveSpec([0, 2, 8], 2, ["zero", "icl", "lora", "lora+icl"]), seed=5)
    assert {name: summary(config) for name, config in runs.items()} == {
        "zero shots=0 seed=5": (0, 0, 0, 5),
        "icl shots=2 seed=5": (0, 0, 2, 5),
        "icl shots=2 seed=6": (0, 0, 2, 6),
        "icl shots=4 seed=5": (0, 0, 4, 5),
        "icl shots=4 seed=6": (0, 0, 4, 6),
        "lora shots=2 seed=5": (2, 0, 0, 5),
        "lora shots=2 seed=6": (2, 0, 0, 6),
        "lora shots=8 seed=5": (8, 0, 0, 5),
        "lora shots=8 seed=6": (8, 0, 0, 6),
        "lora+icl shots=2 seed=5": (2, 1, 2, 5),
        "lora+icl shots=2 seed=6": (2, 1, 2, 6),
        "lora+icl shots=8 seed=5": (8, 4, 4, 5),
        "lora+icl shots=8 seed=6": (8, 4, 4, 6),
    }
    assert len(plan([*plan_curve(make_config(seed=5), CurveSpec([0, 2, 8], 2)).runs])) == len(runs)


def test_no_run_uses_more_labels_than_its_shots() -> None:
    """The pool is `shots`, or for 0 of them the in-context examples of inference."""
    runs = planned(CurveSpec([1, 2, 3, 16], 1, icl_examples=3))
    for name, config in runs.items():
        shots = int(name.partition("shots=")[2].partition(" ")[0])
        inference = config.inference_or_default.icl_examples
        assert (config.dataset.shots or inference) == shots
        assert inference <= max(shots, 0)
        assert config.training is not None
        assert config.training.icl_examples <= max(shots - 1, 0)


def test_where_in_context_examples_end_is_told() -> None:
    plan = plan_curve(make_config(), CurveSpec([2, 16, 64], 1, ["icl"]))
    assert [config.inference_or_default.icl_examples for _, config in plan.runs] == [2, 4]
    (note,) = plan.notes
    assert "icl shows at most 4 examples" in note
    more = plan_curve(make_config(), CurveSpec([2, 16, 64], 1, ["icl"], icl_examples=64))
    assert [config.inference_or_default.icl_examples for _, config in more.runs] == [2, 16, 64]
    assert more.notes == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, ["zero", "icl", "lora", "lora+icl"]),
        ({"lora": None}, ["zero", "icl"]),
        ({"lora": None, "adapter": {"method": "ia3"}}, ["zero", "icl", "ia3", "ia3+icl"]),
    ],
)
def test_by_default_all_methods_run_that_the_config_allows(sections: dict[str, Any], expected: list[str]) -> None:
    runs = planned(CurveSpec([0, 4], 1), **sections)
    assert list(dict.fromkeys(name.partition(" ")[0] for name in runs)) == expected


def test_zero_shot_runs_once_per_seed_where_a_seed_matters() -> None:
    """By the ids of runs, the seed of in-context examples matters to every calibration: some draw random words."""
    runs = planned(CurveSpec([0], 3, ["zero"], ["none", "contextual", "domain"]))
    assert Counter(name.rpartition(" ")[0] for name in runs) == {
        "zero shots=0": 1,
        "zero contextual shots=0": 3,
        "zero domain shots=0": 3,
    }


def test_the_configs_own_calibration_keeps_its_arguments() -> None:
    own = {"method": "batch", "args": {"space": "probability"}}
    config = make_config(inference={"calibration": own})
    for calibrations in ([], ["batch"]):
        ((_, run),) = plan_curve(config, CurveSpec([0], 1, ["zero"], calibrations)).runs
        assert run.inference_or_default.calibration is not None
        assert run.inference_or_default.calibration.model_dump() == own
    ((_, run),) = plan_curve(config, CurveSpec([0], 1, ["zero"], ["none"])).runs
    assert run.inference_or_default.calibration is None


def test_calibrations_that_learn_from_labels_are_left_out_where_there_are_too_few() -> None:
    plan = plan_curve(make_config(), CurveSpec([0, 1, 2], 1, ["zero", "icl", "lora"], ["temperature"]))
    assert [name for name, _ in plan.runs] == [
        "icl temperature shots=1 seed=13",
        "icl temperature shots=2 seed=13",
        "lora temperature shots=2 seed=13",
    ]
    assert [note.partition(":")[0] for note in plan.notes] == [
        "zero temperature shots=0 is left out",
        "lora temperature shots=1 is left out",
    ]


def test_selection_by_cross_validation_needs_two_shots() -> None:
    plan = plan_curve(make_config(training=SELECT), CurveSpec([1, 2], 1, ["lora"]))
    assert [name for name, _ in plan.runs] == ["lora shots=2 seed=13"]
    assert "training.select" in plan.notes[0]


def test_adapters_are_not_kept() -> None:
    """All runs would write to one folder, which is refused."""
    training = {"trainer_args": {"output_dir": "outputs/x", "learning_rate": 0.1}}
    runs = plan_curve(make_config(training=training), CurveSpec([1, 2], 1, ["lora"])).runs
    assert len(plan(runs)) == 2
    assert all(config.training and config.training.trainer_args == {"learning_rate": 0.1} for _, config in runs)


REFUSED: list[tuple[CurveSpec, dict[str, Any], str]] = [
    (CurveSpec([], 1), {}, "--shots names no number"),
    (CurveSpec([-1], 1), {}, "--shots: must be 0 or more, got -1"),
    (CurveSpec([4, 4], 1), {}, "--shots names 4 twice"),
    (CurveSpec([4], 0), {}, "--seeds: must be at least 1, got 0"),
    (CurveSpec([4], 1, icl_examples=0), {}, "--icl-examples: must be at least 1, got 0"),
    (CurveSpec([4], 1, ["zero", "zero"]), {}, "--methods names zero twice"),
    (CurveSpec([4], 1, ["lroa"]), {}, "no method is named 'lroa'\n  fix: did you mean 'lora'?"),
    (CurveSpec([4], 1, ["nothing"]), {}, "fix: known: icl, lora, lora+icl, zero"),
    (CurveSpec([4], 1, ["lora"]), {"lora": None}, "lora: the method 'lora' needs this section"),
    (CurveSpec([4], 1, ["zero", "lora+icl"]), {"training": None}, "training: the method 'lora+icl' needs this section"),
    (CurveSpec([4], 1, calibrations=["contextal"]), {}, "did you mean 'contextual'?"),
    (CurveSpec([4], 1, calibrations=["batch"]), {"dataset": {"task_type": "generation"}}, "this run has none"),
    (CurveSpec([0], 1, ["zero"], ["temperature"]), {}, "the curve has no run"),
]


@pytest.mark.parametrize(("spec", "sections", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_what_makes_no_curve_is_refused(spec: CurveSpec, sections: dict[str, Any], message: str) -> None:
    with pytest.raises((SftError, ConfigError)) as caught:
        plan_curve(make_config(**sections), spec)
    assert message in str(caught.value)
    if isinstance(caught.value, ConfigError):
        assert all(problem.fix for problem in caught.value.problems)
