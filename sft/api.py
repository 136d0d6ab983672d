"""Functions that command line and Python users share: loading checked configs, and whole sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.config import load
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.experiments.launch import RunOutcome, launcher_registry
from sft.experiments.plan import plan
from sft.pipeline.checks import check_registered_names
from sft.pipeline.recalibrate import Impossible, choices, recalibrate_runs
from sft.pipeline.scored_runs import find_scored_runs
from sft.plugins import load_entry_points
from sft.records import RunRecord, write_json, write_text
from sft.reporting.json import as_json
from sft.reporting.markdown import as_markdown
from sft.reporting.table import ReportTable, report_table


def load_config(
    path: str | Path, *, overrides: Sequence[str] = (), seed: int | None = None, endpoint: str | None = None
) -> ExperimentConfig:
    """The config in a JSON or JSONNET file, checked against schema, registries and installed libraries.

    overrides: `section.key=value`. endpoint: the command that will use it. Raises `ConfigError` naming every problem.
    """
    load_entry_points()
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
    load_entry_points()
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


class Recalibration(NamedTuple):
    """New records, the folders that hold them, what was left out and why, and a table of old and new records."""

    records: list[RunRecord]
    folders: list[Path]
    notes: list[str]
    table: ReportTable


def calibrate_results(
    results: Sequence[str | Path],
    methods: Sequence[str],
    *,
    args: dict[str, Any] | None = None,
    normalizations: Sequence[str] = (),
    results_path: str | Path | None = None,
) -> Recalibration:
    """Apply calibrations to the stored scores of finished runs and write a record for each, without a model.

    results: folders of runs or of results. methods: calibrations; `none`; `all`: every one for which the scores
    suffice. args: of the method, where one is named. normalizations: score normalisations, or `all`; by default each
    run's own. results_path: where records go; by default beside each run. Raises `SftError` where a named method needs
    scores that a run doesn't hold.
    """
    found = find_scored_runs([Path(path) for path in results])
    target = None if results_path is None else Path(results_path)
    records, folders, notes = [], [], list(found.notes)
    shown = {run.record.run_id: run.record for run in found.runs}
    for outcome in recalibrate_runs(found.runs, choices(methods, args, normalizations), target):
        if isinstance(outcome, Impossible):
            notes.append(f"{outcome.choice} for {outcome.run.name}: {outcome.reason}")
            continue
        shown[outcome.record.run_id] = outcome.record
        if outcome.new:
            records.append(outcome.record)
            folders.append(outcome.folder)
        else:
            notes.append(f"{outcome.folder.name} is there already")
    return Recalibration(records, folders, notes, report_table(shown.values()))
