"""The forms of a sweep file, and how its problems are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.config.load import load_config, load_configs
from sft.errors import ConfigError, SftError
from tests.fakes import config_value, write_config

ONE, TWO = config_value(), config_value(dataset={"shots": 4})

# (what the file holds, the names and shots of its configs)
FORMS: list[tuple[Any, list[tuple[str, int]]]] = [
    ([ONE, TWO], [("1", 2), ("2", 4)]),
    ([ONE], [("1", 2)]),
    ({"configs": {"few": ONE, "more": TWO}}, [("few", 2), ("more", 4)]),
    (TWO, [("1", 4)]),
]


@pytest.mark.parametrize(("value", "expected"), FORMS, ids=["list", "list of one", "named", "single"])
def test_every_form_of_a_sweep_is_read(tmp_path: Path, value: Any, expected: list[tuple[str, int]]) -> None:
    found = load_configs(write_config(tmp_path / "sweep.json", value))
    assert [(named.name, named.config.dataset.shots) for named in found] == expected


def test_a_sweep_may_be_written_as_functions(tmp_path: Path) -> None:
    write_config(tmp_path / "base.json", ONE)
    path = tmp_path / "sweep.jsonnet"
    path.write_text(
        "local config(n, s) = (import 'base.json') + { dataset+: { shots: n }, seed: s };\n"
        "{ configs: { ['%d-%d' % [n, s]]: config(n, s) for n in [0, 8] for s in [1, 2] } }",
        encoding="utf-8",
    )
    found = {named.name: (named.config.dataset.shots, named.config.seed) for named in load_configs(path)}
    assert found == {"0-1": (0, 1), "0-2": (0, 2), "8-1": (8, 1), "8-2": (8, 2)}


REFUSED: list[tuple[Any, str]] = [
    ([], "holds no config"),
    ({"configs": {}}, "holds no config"),
    ({"configs": [ONE]}, "'configs' must be an object, got a list"),
    ({"configs": {"a": ONE}, "seed": 3}, "beside 'configs' there is 'seed'"),
    ([ONE, 3], r"a config is a JSON object, got a number \[in 1 of 2 configs: 2\]"),
    (3, "a config is a JSON object, got a number"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_no_sweep_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(SftError, match=message):
        load_configs(write_config(tmp_path / "sweep.json", value))


def test_a_problem_that_many_configs_share_is_told_once(tmp_path: Path) -> None:
    wrong = config_value(dataset={"shots": -1})
    configs = {"fine": ONE, "a": wrong, "b": wrong, "c": wrong, "d": {**wrong, "seed": -2}}
    with pytest.raises(ConfigError) as caught:
        load_configs(write_config(tmp_path / "sweep.json", {"configs": configs}))
    texts = [str(problem) for problem in caught.value.problems]
    assert texts == [
        "dataset.shots: got -1: must be >= 0 [in 4 of 5 configs: a, b, c and 1 more]",
        "seed: got -2: must be >= 0 [in 1 of 5 configs: d]",
    ]


@pytest.mark.parametrize("value", [[ONE, TWO], {"configs": {"a": ONE}}], ids=["list", "named"])
def test_a_command_for_one_config_points_from_a_sweep_to_run_experiments(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SftError, match="holds several configs\n  fix: use `run-experiments`"):
        load_config(write_config(tmp_path / "sweep.json", value))
