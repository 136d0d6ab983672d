"""Values of a config replaced on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.config.load import load_config, load_configs
from sft.errors import SftError
from tests.fakes import config_value, write_config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_config(tmp_path / "config.json", config_value())


# (the override, where to look in the resolved config, what is there)
ACCEPTED: list[tuple[str, list[str], Any]] = [
    ("dataset.shots=8", ["dataset", "shots"], 8),
    ("dataset.shots= 8", ["dataset", "shots"], 8),
    ("dataset.shots=null", ["dataset", "shots"], None),
    ("seed=7", ["seed"], 7),
    ("model.name=org/name", ["model", "name"], "org/name"),
    ('model.name="5"', ["model", "name"], "5"),
    ("dataset.path=a=b", ["dataset", "path"], "a=b"),
    ("prompting.instruction=Say yes, or no.", ["prompting", "instruction"], "Say yes, or no."),
    ('lora.target_modules=["q_proj", "v_proj"]', ["lora", "target_modules"], ["q_proj", "v_proj"]),
    ("training.trainer_args.num_train_epochs=2.5", ["training", "trainer_args", "num_train_epochs"], 2.5),
    ("training.trainer_args.packing=true", ["training", "trainer_args", "packing"], True),
    ('dataset.labels={"a": " A"}', ["dataset", "labels"], {"a": " A"}),
    # Objects on the way are made, where there was nothing and where there was null.
    ("evaluation.metrics=null", ["evaluation", "metrics"], None),
    ("inference.calibration.method=batch", ["inference", "calibration", "method"], "batch"),
    ("lora=null", ["lora"], None),
    # NaN is no JSON value, so it is a text.
    ("prompting.instruction=NaN", ["prompting", "instruction"], "NaN"),
]


@pytest.mark.parametrize(("override", "keys", "expected"), ACCEPTED, ids=[case[0] for case in ACCEPTED])
def test_an_override_replaces_one_value(path: Path, override: str, keys: list[str], expected: Any) -> None:
    value: Any = load_config(path, overrides=[override]).model_dump()
    for key in keys:
        value = value[key]
    assert value == expected


REFUSED = [
    ("dataset.shots", "is not of the form section.key=value"),
    ("=8", "is not of the form"),
    ("", "is not of the form"),
    (".shots=8", "is not of the form"),
    ("dataset..shots=8", "is not of the form"),
    ("dataset.=8", "is not of the form"),
    ("seed.x=8", "seed is not an object but a number"),
    ("prompting.input_columns.0=x", "prompting.input_columns is not an object but a list"),
    ("dataset.shots=-8", "got -8: must be >= 0"),
    ("dataset.shots=eight", 'got "eight": must be an integer'),
    ("dataset.shot=8", "did you mean 'shots'?"),
    ("evaluation.metrics=[accuracy]", 'got "[accuracy]": must be a list'),
]


@pytest.mark.parametrize(("override", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_wrong_override_is_refused(path: Path, override: str, message: str) -> None:
    with pytest.raises(SftError) as caught:
        load_config(path, overrides=[override])
    assert message in str(caught.value)


def test_other_values_stay_and_the_last_override_of_a_key_counts(path: Path) -> None:
    changed = load_config(path, overrides=["dataset.shots=4", "dataset.shots=5"])
    original = load_config(path)
    assert changed.dataset.shots == 5
    assert changed.dataset.model_copy(update={"shots": original.dataset.shots}) == original.dataset
    assert changed.model == original.model


def test_the_random_seed_wins_over_the_config_and_over_an_override(path: Path) -> None:
    assert load_config(path).seed == 13
    assert load_config(path, overrides=["seed=5"]).seed == 5
    assert load_config(path, overrides=["seed=5"], seed=99).seed == 99


def test_the_seed_of_a_config_without_one_is_13(tmp_path: Path) -> None:
    assert load_config(write_config(tmp_path / "x.json", config_value(seed=None))).seed == 13


def test_the_three_seeds_follow_the_seed_unless_set_apart(path: Path) -> None:
    config = load_config(path, overrides=["icl_seed=0"], seed=99)
    assert [config.seed_for(purpose) for purpose in ("data", "icl", "train")] == [99, 0, 99]


def test_an_override_of_a_sweep_changes_each_config(tmp_path: Path) -> None:
    sweep = write_config(tmp_path / "sweep.json", [config_value(), config_value(dataset={"shots": 3})])
    configs = [named.config for named in load_configs(sweep, overrides=["dataset.max_n_test=9"], seed=4)]
    assert [(c.dataset.max_n_test, c.seed) for c in configs] == [(9, 4), (9, 4)]
    assert [c.dataset.shots for c in configs] == [2, 3]
