"""Records as a run would leave them, made by hand."""

from __future__ import annotations

from typing import Any

from sft.records import RunRecord
from tests.fakes import config_value, make_config


def finished(accuracy: float, *, seed: int = 13, **changes: Any) -> RunRecord:
    """A completed run. Sections of its config are given as `config={…}`, further fields of the record by name."""
    config = make_config(**{"seed": seed, **changes.pop("config", {})})
    trains = config.has_shots
    values: dict[str, Any] = {
        "results": {"accuracy": accuracy, "macro_f1": accuracy / 2, "per_class": {"a": {"f1": 1.0}}, "n": 3},
        "baselines": {"majority": {"accuracy": 0.25}, "tfidf_logistic_regression": {"accuracy": accuracy - 0.125}},
        "data": {"test_row_numbers": [1, 2, 3]},
        "model": {"base": "some/model"},
        "inference": {"method": "logits", "label_end": "eot", "calibration": None},
        "training": {"loss": 0.5} if trains else None,
        "timings": {"total": 12.0},
        **changes,
    }
    run_id = f"{seed:012d}"
    return RunRecord(run_id, "slug", "completed", seed, config.model_dump(mode="json"), **values)


def failed(error: str, *, seed: int = 13, name: str | None = None, **sections: Any) -> RunRecord:
    """A run that failed before it had any result."""
    config = make_config(**{"seed": seed, **sections}).model_dump(mode="json")
    return RunRecord(f"{seed:012d}", "slug", "failed", seed, config, name=name, error=error)


def shots(number: int | None, **more: Any) -> dict[str, Any]:
    """Sections of a config with so many shots."""
    return {"dataset": {**config_value()["dataset"], "shots": number}, **more}
