"""Functions that command line and Python users share: loading checked configs, and whole sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sft.config import load
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.experiments.launch import RunOutcome, launcher_registry
from sft.experiments.plan import plan
from sft.pipeline.checks import check_registered_names
from sft.records import write_json, write_text
from sft.reporting.json import as_json
from sft.reporting.markdown import as_markdown
from sft.reporting.table import ReportTable, report_table


def load_config(
    path: str | Path, *, overrides: Sequence[str] = (), seed: int | None = None, endpoint: str | None = None
) -> ExperimentConfig:
    """The config in a JSON or JSONNET file, checked against schema, registries and installed libraries.

    overrides: `section.key=value`. endpoint: the command that will use it. Raises `ConfigError` naming every problem.
    """
    return load.load_config(
        path, overrides=overrides, seed=seed, endpoint=endpoint, extra_checks=[check_registered_names]
    )


def load_configs(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    endpoint: str | None = "run-experiments",
) -> list[NamedConfig]:
    """The configs of a sweep file (a list, or `{"configs": {name: config}}`), checked in the same way."""
    return load.load_configs(
        path, overrides=overrides, seed=seed, endpoint=endpoint, extra_checks=[check_registered_names]
    )


class Sweep(NamedTuple):
    """How a sweep ended: one outcome per run, and the table over them."""

    outcomes: list[RunOutcome]
    table: ReportTable
    interrupted: bool


def run_experiments(
    configs: Sequence[NamedConfig],
    results_path: str | Path,
    *,
    launcher: str = "local",
    on_outcome: Callable[[RunOutcome, int, int], None] = lambda outcome, done, total: None,
) -> Sweep:
    """Run every config and write `aggregated_results.json` and `.md` under `results_path`.

    A failed run is recorded and the rest go on. After an interrupt, what is done is aggregated all the same.
    on_outcome: called with each outcome, how many runs are done, and how many there are.
    """
    runs = plan(configs)
    results_path = Path(results_path)
    try:
        results_path.mkdir(parents=True, exist_ok=True)
        (results_path / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise SftError(f"--results-path: can't write into {str(results_path)!r}: {error.strerror}") from error
    outcomes: list[RunOutcome] = []
    interrupted = False
    try:
        for outcome in launcher_registry[launcher](runs, results_path):
            outcomes.append(outcome)
            on_outcome(outcome, len(outcomes), len(runs))
    except KeyboardInterrupt:
        interrupted = True
    table = report_table(outcome.record for outcome in outcomes)
    write_json(results_path / "aggregated_results.json", as_json(table))
    write_text(results_path / "aggregated_results.md", as_markdown(table))
    return Sweep(outcomes, table, interrupted)
