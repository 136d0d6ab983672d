"""Arguments of calibrations and objectives that repeat a default say nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from sft.calibration import calibration_registry
from sft.config.identity import run_id
from sft.pipeline.canonical import canonical_config
from sft.training.objectives import objective_registry
from tests.fakes import make_config

PATH = {"unlabelled_path": "more.jsonl", "estimate_on": "unlabelled"}


def calibrated(method: str, **args: Any) -> Any:
    return make_config(inference={"calibration": {"method": method, "args": args}})


def id_of(config: Any) -> str:
    return run_id(canonical_config(config), None, trains=True)


@pytest.mark.parametrize("method", calibration_registry)
def test_every_default_of_every_method_may_be_written_out(method: str) -> None:
    parameters = inspect.signature(calibration_registry[method]).parameters.values()
    assert parameters
    for chosen in (parameters, *([parameter] for parameter in parameters)):
        written = calibrated(method, **{parameter.name: parameter.default for parameter in chosen})
        assert canonical_config(written) == calibrated(method)
        assert id_of(written) == id_of(calibrated(method))


def trained(method: str, **args: Any) -> Any:
    return make_config(training={"objective": {"method": method, "args": args}})


@pytest.mark.parametrize("method", objective_registry)
def test_every_default_of_every_objective_may_be_written_out(method: str) -> None:
    parameters = inspect.signature(objective_registry[method]).parameters.values()
    for chosen in (parameters, *([parameter] for parameter in parameters)):
        written = trained(method, **{parameter.name: parameter.default for parameter in chosen})
        assert canonical_config(written) == trained(method)
        assert id_of(written) == id_of(trained(method))


# Config, and its form.
KEPT: list[tuple[Any, Any]] = [
    (calibrated("batch", space="log", **PATH), calibrated("batch", **PATH)),
    (calibrated("domain", samples=20, prior="per_prompt"), calibrated("domain", prior="per_prompt")),
    (calibrated("temperature", highest=20), calibrated("temperature")),
    (calibrated("contextual", content_free_inputs=["N/A"]), calibrated("contextual", content_free_inputs=["N/A"])),
    (calibrated("no-such-method", prior="shared"), calibrated("no-such-method", prior="shared")),
    (calibrated("domain", nonsense=1), calibrated("domain", nonsense=1)),
    (trained("tfew", unlikelihood=0.5, length_normalized=1.0), trained("tfew", unlikelihood=0.5)),
    (trained("no-such-objective", weight=1), trained("no-such-objective", weight=1)),
    (make_config(inference=None), make_config(inference=None)),
]


@pytest.mark.parametrize(("config", "expected"), KEPT)
def test_whatever_else_is_written_stays(config: Any, expected: Any) -> None:
    assert canonical_config(config) == expected


@pytest.mark.parametrize("config", [make_config(), calibrated("batch"), calibrated("domain", samples=3)])
def test_a_config_without_defaults_keeps_its_id(config: Any) -> None:
    assert id_of(config) == run_id(config, None, trains=True)
