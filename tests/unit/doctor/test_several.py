"""The configs of a sweep: examined by name, what they have in common said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft.config.load import NamedConfig
from sft.doctor import Setting
from sft.doctor.several import as_json, common, diagnose_all, of_config_error
from sft.errors import ConfigError, Problem, SftError
from tests.tiny_runs import tiny_run


def sweep(folder: Path) -> list[NamedConfig]:
    few, many = {"shots": 2}, {"shots": 9}
    configs = {"few 13": tiny_run(folder, dataset=few), "few 14": tiny_run(folder, dataset=few, seed=14)}
    return [NamedConfig(*item) for item in (configs | {"many": tiny_run(folder, dataset=many)}).items()]


def test_what_configs_have_in_common_is_said_once_and_the_worst_first(tmp_path: Path) -> None:
    diagnoses = diagnose_all(sweep(tmp_path), Setting(), [])
    found = common(diagnoses)
    assert found[0].finding.level == "warn"
    assert "fewer training rows than the 9 asked for" in found[0].finding.message
    assert found[0].configs == ["many"]
    (balance,) = [each for each in found if each.finding.message.startswith("shots per label: 2;")]
    assert balance.configs == ["few 13", "few 14"]
    (packages,) = [each for each in found if each.finding.check == "packages"]
    assert packages.configs == ["few 13", "few 14", "many"]


def test_only_the_configs_asked_for_are_examined(tmp_path: Path) -> None:
    assert list(diagnose_all(sweep(tmp_path), Setting(), ["few*", "nothing"])) == ["few 13", "few 14"]
    with pytest.raises(SftError, match="no config has such a name") as caught:
        diagnose_all(sweep(tmp_path), Setting(), ["less*"])
    assert caught.value.hint == "there are: few 13, few 14, many"


def test_problems_of_a_config_are_findings(tmp_path: Path) -> None:
    error = ConfigError("x.json", [Problem("dataset.shots", "must be >= 0", "raise it"), Problem("", "no config")])
    value = as_json({"x.json": of_config_error(error)})
    assert value["worst"] == "error"
    (config,) = value["configs"]
    assert [(each["check"], each["message"], each["fix"]) for each in config["findings"]] == [
        ("config", "dataset.shots: must be >= 0", "raise it"),
        ("config", "no config", None),
    ]
