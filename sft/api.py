"""Functions that command line and Python users share: loading checked configs, and whole sweeps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sft.config import load
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.distributed import refuse_several
from sft.errors import SftError
from sft.experiments.launch import LaunchOptions, launcher_registry
from sft.experiments.live import Live
from sft.experiments.outcome import RunOutcome
from sft.experiments.protocol import Settings
from sft.experiments.schedule import Schedule, schedule
from sft.experiments.store import tidy
from sft.pipeline.canonical import canonical_config
from sft.pipeline.checks import check_registered_names
from sft.pipeline.recalibrate import Impossible, choices, recalibrate_runs
from sft.pipeline.recording import now
from sft.pipeline.scored_runs import find_scored_runs
from sft.planned import Planned, write_plan
from sft.plugins import load_entry_points
from sft.records import RunRecord, write_text, writing
from sft.reporting.find import Found, check_results, find_results, run_folders
from sft.reporting.formats import write_table
from sft.reporting.rows import ReportTable
from sft.reporting.table import report_table


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


def plan_experiments(
    configs: Sequence[NamedConfig],
    results_path: str | Path,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    retry_failed: bool = False,
) -> Schedule:
    """What `run_experiments` would do with the same arguments: which runs are done, and which are left."""
    return schedule(configs, Path(results_path), only=only, force=force, retry_failed=retry_failed)


def run_experiments(
    configs: Sequence[NamedConfig],
    results_path: str | Path,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    retry_failed: bool = False,
    keep_adapters: bool = False,
    launcher: str = "local",
    isolation: Literal["worker", "process"] = "worker",
    workers: int | None = None,
    live: Live | None = None,
) -> Sweep:
    """Run what isn't done of the configs, then aggregate all that is under `results_path` (see `aggregate_results`).

    A failed run is recorded and the rest go on. After an interrupt, what is done is aggregated all the same; the same
    call then goes on where it was. only: shell patterns of names. force: run again what is complete. retry_failed: run
    again what failed. keep_adapters: keep what is trained, each in its run's folder. launcher: a name of
    `launcher_registry`. isolation, workers: see `LaunchOptions`. live: is told what happens.
    """
    refuse_several("a sweep", "start it without a launcher: its workers take a GPU each")
    results_path, live = Path(results_path), live or Live()
    planned = plan_experiments(configs, results_path, only=only, force=force, retry_failed=retry_failed)
    launch = launcher_registry[launcher]
    try:
        results_path.mkdir(parents=True, exist_ok=True)
        write_plan(results_path, [Planned(r.name, r.plan_id, r.config.model_dump(mode="json")) for r in planned.runs])
    except OSError as error:
        raise SftError(f"--results-path: can't write into {str(results_path)!r}: {error.strerror}") from error
    outcomes = list(planned.ended.values())
    settings = Settings(str(results_path.absolute()), now(), keep_adapters=keep_adapters, force=force)
    options = LaunchOptions(settings, isolation, workers, live)
    interrupted = False
    live.begin(len(planned.runs))
    try:
        for outcome in outcomes:
            tidy(outcome)
            live.ended(outcome)
        with contextlib.closing(launch(planned.tasks, options)) as launched:
            outcomes.extend(launched)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        live.close()
    places = {run.name: i for i, run in enumerate(planned.runs)}
    outcomes.sort(key=lambda outcome: places[outcome.name])
    return Sweep(outcomes, _aggregate([results_path], results_path, ()).table, interrupted)


class Aggregated(NamedTuple):
    """The table over all runs, and the files that hold it."""

    table: ReportTable
    files: list[Path]


def aggregate_results(
    results: Sequence[str | Path], *, out: str | Path | None = None, formats: Sequence[str] = ()
) -> Aggregated:
    """One row per configuration over its seeds, written as `aggregated_results.json`, `.md`, `.csv` and `.tex`.

    results: folders of runs or of results. out: where files go; by default the first folder of results. formats: some
    of `json`, `md`, `csv`, `tex`; all by default. Files that can't be read are named in the table's notes. Raises
    `SftError` for a path without any record, and where files can't be written.
    """
    paths = [Path(path) for path in results]
    for path in paths:
        check_results(path)
    if out is None and run_folders(paths[0]) == [paths[0]]:
        raise SftError(f"{paths[0]} is the folder of a single run", "say where the table goes, with --out DIR")
    return _aggregate(paths, paths[0] if out is None else Path(out), formats)


def write_report(
    results: Sequence[str | Path], path: str | Path, *, table: ReportTable | None = None, only_new: bool = False
) -> Path:
    """Write one HTML page on the runs, which needs no network and is below 5 MB; returns its path.

    results: folders of runs or of results. table: over all that is in them, where it is known already. only_new: leave
    a page as it is that was made of the same records. What there is no room for is left out, and the page says so. It
    holds texts of the data. The same results give the same bytes. Raises `SftError` for a path without any record, and
    where the file can't be written.
    """
    from sft.reporting.html.source import is_made_of, source_of

    paths, path = [Path(one) for one in results], Path(path)
    for one in paths:
        check_results(one)
    source = source_of(paths)
    if only_new and is_made_of(path, source):
        return path
    from sft.reporting.html.page import report_page

    found = find_results(paths)
    page = report_page(found, table or table_of(found), source=source)
    with writing(str(path)):
        write_text(path, page)
    return path


def _aggregate(paths: Sequence[Path], out: Path, formats: Sequence[str]) -> Aggregated:
    table = table_of(find_results(paths))
    with writing(str(out)):
        return Aggregated(table, write_table(table, out, formats))


def table_of(found: Found) -> ReportTable:
    """The table over what was found, with intervals and tests."""
    missing = [run._replace(config=_canonical(run.config)) for run in found.missing]
    return report_table(
        [run.record for run in found.runs],
        {name: run.judged for name, run in found.by_name.items() if run.judged is not None},
        missing=missing,
        notes=found.notes,
    )


def _canonical(config: dict[str, Any]) -> dict[str, Any]:
    """As a record has it."""
    return canonical_config(ExperimentConfig.model_validate(config)).model_dump(mode="json")


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
    shown = {run.record.run_id: run.folder for run in found.runs}
    for outcome in recalibrate_runs(found.runs, choices(methods, args, normalizations), target):
        if isinstance(outcome, Impossible):
            notes.append(f"{outcome.choice} for {outcome.run.name}: {outcome.reason}")
            continue
        shown[outcome.record.run_id] = outcome.folder
        if outcome.new:
            records.append(outcome.record)
            folders.append(outcome.folder)
        else:
            notes.append(f"{outcome.folder.name} is there already")
    return Recalibration(records, folders, notes, table_of(find_results(list(shown.values()))))
