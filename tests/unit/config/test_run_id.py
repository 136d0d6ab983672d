"""Two configs have one run id exactly when their results are meant to be the same."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sft.config.identity import canonical, configuration_id, run_id, seeds_that_matter
from sft.config.load import config_from_value
from tests.fakes import config_value, make_config

FINGERPRINT = "0" * 64


def id_of(
    *, trains: bool = True, data: str | None = FINGERPRINT, checkpoint: str | None = None, **sections: Any
) -> str:
    return run_id(make_config(**sections), data, trains=trains, checkpoint_fingerprint=checkpoint)


def trainer_args(**args: Any) -> dict[str, Any]:
    return {"training": {"trainer_args": args}}


def select(grid: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"training": {"trainer_args": {}, "select": {"grid": grid, **more}}}


def test_a_run_id_is_short_and_stable() -> None:
    assert re.fullmatch("[0-9a-f]{12}", id_of())
    assert id_of() == id_of()


def test_trainings_by_several_processes_are_other_runs_and_evaluations_are_not() -> None:
    config = make_config()
    ids = {(n, t): run_id(config, "rows", trains=t, processes=n) for n in (1, 2, 4) for t in (True, False)}
    assert len({ids[n, True] for n in (1, 2, 4)}) == 3
    assert len({ids[n, False] for n in (1, 2, 4)}) == 1
    assert ids[1, True] == run_id(config, "rows", trains=True)


# Pairs of configs that describe one run.
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults written out": ({}, {"dataset": {"deduplicate": True}, "inference": {"method": "logits"}}),
    "8.0 for 8": (trainer_args(num_train_epochs=8), trainer_args(num_train_epochs=8.0)),
    "8.0 for 8 in a list": ({"lora": {"target_parameters": [8]}}, {"lora": {"target_parameters": [8.0]}}),
    "the long form of lora": ({}, {"lora": None, "adapter": {"method": "lora", "args": {"r": 4}}}),
    "both forms of lora": ({}, {"adapter": {"method": "lora", "args": {"r": 4}}}),
    "another output_dir": (trainer_args(output_dir="a"), trainer_args(output_dir="b")),
    "another report_to": (trainer_args(report_to="none"), trainer_args(report_to=["tensorboard"])),
    "another run_name": (trainer_args(), trainer_args(run_name="x", logging_steps=1, save_strategy="no")),
    "seeds written out": ({}, {"data_seed": 13, "icl_seed": 13, "train_seed": 13}),
    "another way to the same scores": ({}, {"inference": {"scorer": "naive", "compile": False}}),
    "scores stored beside the results": ({}, {"inference": {"score_shots": True}}),
    "icl_seed without in-context examples": ({}, {"icl_seed": 14}),
    "keys of a grid in another order": (
        select({"learning_rate": [1e-3, 1e-4], "max_steps": [1, 2]}),
        select({"max_steps": [1, 2], "learning_rate": [1e-3, 1e-4]}),
    ),
    "nothing to select written out": ({}, {"training": {"select": None}}),
    "the objective of old written out": ({}, {"training": {"objective": {"method": "next_token", "args": {}}}}),
    "a name for an objective": (
        {"training": {"objective": "tfew"}},
        {"training": {"objective": {"method": "tfew"}}},
    ),
    "an old name": (trainer_args(max_length=64), trainer_args(max_seq_length=64)),
}

# Pairs of configs that describe different runs.
DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "shots": ({}, {"dataset": {"shots": 3}}),
    "seed": ({}, {"seed": 14}),
    "data_seed": ({}, {"data_seed": 14}),
    "icl_seed with in-context examples": (
        {"inference": {"icl_examples": 1}},
        {"inference": {"icl_examples": 1}, "icl_seed": 14},
    ),
    "icl_seed with a calibration": (
        {"inference": {"calibration": {"method": "domain"}}},
        {"inference": {"calibration": {"method": "domain"}}, "icl_seed": 14},
    ),
    "train_seed": ({}, {"train_seed": 14}),
    "model": ({}, {"model": {"name": "other"}}),
    "lora": ({}, {"lora": {"r": 8}}),
    "a learning rate": (trainer_args(learning_rate=1e-3), trainer_args(learning_rate=1e-4)),
    "a grid": (select({"learning_rate": [1e-3]}), {}),
    "values of a grid": (select({"learning_rate": [1e-3]}), select({"learning_rate": [1e-3, 1e-4]})),
    "folds to select by": (select({"learning_rate": [1e-3]}), select({"learning_rate": [1e-3]}, folds=2)),
    "a metric to select by": (select({"learning_rate": [1e-3]}), select({"learning_rate": [1e-3]}, metric="accuracy")),
    "an objective": ({}, {"training": {"objective": "tfew"}}),
    "an objective's arguments": (
        {"training": {"objective": "tfew"}},
        {"training": {"objective": {"method": "tfew", "args": {"unlikelihood": 0}}}},
    ),
    "8.5 for 8": (trainer_args(num_train_epochs=8), trainer_args(num_train_epochs=8.5)),
    "a text for a number": ({"lora": {"init_lora_weights": "1"}}, {"lora": {"init_lora_weights": 1}}),
    "instruction": ({}, {"prompting": {"instruction": "Decide."}}),
    "verbalisations": ({}, {"dataset": {"labels": {"a": " A", "b": " B"}}}),
    "in-context examples": ({}, {"inference": {"icl_examples": 1}}),
    "metrics": ({}, {"evaluation": {"metrics": ["accuracy"]}}),
    "score normalization": ({}, {"inference": {"score_normalization": "bytes"}}),
    "premise": ({}, {"inference": {"pmi_premise": ""}}),
    "folds": ({}, {"inference": {"folds": 2}}),
    "order of input columns": (
        {"prompting": {"input_columns": ["a", "b"]}},
        {"prompting": {"input_columns": ["b", "a"]}},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_result_changes_no_run_id(name: str) -> None:
    left, right = SAME[name]
    assert id_of(**left) == id_of(**right)


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_may_change_a_result_changes_the_run_id(name: str) -> None:
    left, right = DIFFERENT[name]
    assert id_of(**left) != id_of(**right)


def test_an_objective_that_was_always_there_is_no_part_of_an_id() -> None:
    """Ids of records from before there was a choice stay what they are."""
    for sections in ({}, {"training": {"objective": "next_token"}}):
        assert "objective" not in canonical(make_config(**sections), trains=True)["training"]
    assert "objective" in canonical(make_config(training={"objective": "tfew"}), trains=True)["training"]


def test_the_order_of_keys_is_no_part_of_a_run() -> None:
    value = config_value(lora={"r": 4, "lora_alpha": 8})
    reversed_value = {
        key: dict(reversed(inner.items())) if isinstance(inner, dict) else inner
        for key, inner in reversed(value.items())
    }
    assert list(reversed_value) != list(value)
    ids = {run_id(config_from_value(v, "x"), FINGERPRINT, trains=True) for v in (value, reversed_value)}
    assert len(ids) == 1


def test_data_and_checkpoint_and_whether_it_trains_are_part_of_a_run() -> None:
    ids = [
        run_id(make_config(), FINGERPRINT, trains=True, unlabelled_fingerprint="a"),
        run_id(make_config(), FINGERPRINT, trains=True, unlabelled_fingerprint="b"),
        id_of(),
        id_of(data="1" * 64),
        id_of(data=None),
        id_of(trains=False),
        id_of(trains=False, checkpoint="a"),
        id_of(trains=False, checkpoint="b"),
    ]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "change", [{"lora": None}, {"training": None}, {"lora": {"r": 99}}, {"train_seed": 5}], ids=str
)
def test_a_run_that_trains_nothing_ignores_how_it_would_train(change: dict[str, Any]) -> None:
    assert id_of(trains=False, **change) == id_of(trains=False)


ZERO_SHOT = {"dataset": {"shots": 0}}
SAMPLED = {"method": "generate", "generation_args": {"do_sample": True}}


@pytest.mark.parametrize(
    ("sections", "seeds"),
    [
        ({}, []),
        ({"inference": {"method": "generate"}}, []),
        ({"inference": SAMPLED}, ["seed"]),
        ({"inference": {"icl_examples": 1}}, ["data", "icl"]),
        ({"inference": {"calibration": {"method": "domain"}}}, ["icl"]),
        ({"training": {"icl_examples": 1}}, []),
    ],
    ids=str,
)
def test_a_zero_shot_run_has_only_the_seeds_that_it_uses(sections: dict[str, Any], seeds: list[str]) -> None:
    config = make_config(**ZERO_SHOT, **sections)
    assert sorted(seeds_that_matter(config, trains=False)) == seeds
    same = {"seed": 99, "data_seed": config.seed, "icl_seed": config.seed, "train_seed": 3}
    other = make_config(**ZERO_SHOT, **sections, **same)
    assert (run_id(config, None, trains=False) == run_id(other, None, trains=False)) is ("seed" not in seeds)


def test_training_uses_shots_and_training_seeds_and_that_of_examples_where_some_are_shown() -> None:
    assert seeds_that_matter(make_config(), trains=True) == {"data", "train"}
    shown = make_config(training={"icl_examples": 1})
    assert seeds_that_matter(shown, trains=True) == {"data", "icl", "train"}


def test_a_configuration_is_a_run_without_its_seeds() -> None:
    def of(**sections: Any) -> str:
        return configuration_id(make_config(**sections), trains=True)

    assert of() == of(seed=14) == of(data_seed=1, icl_seed=2, train_seed=3)
    assert of() != of(dataset={"shots": 3})
