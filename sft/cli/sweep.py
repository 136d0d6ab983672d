"""`run-experiments`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sft.cli.app import app
from sft.cli.options import (
    FAILED_RUNS,
    INTERRUPTED,
    ConfigPath,
    Imports,
    Override,
    Quiet,
    ResultsPath,
    Seed,
    Verbose,
    live_view,
    set_up_output,
)
from sft.cli.report import NoReport, report_after
from sft.cli.show import print_schedule, print_table


@app.command("run-experiments")
def run_experiments(
    config: ConfigPath,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only runs whose name fits, e.g. 'shots=16*'; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and what is done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again what is complete.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run again what failed.")] = False,
    keep_adapters: Annotated[
        bool, typer.Option("--keep-adapters", help="Keep what is trained, in the folders of the runs.")
    ] = False,
    launcher: Annotated[str, typer.Option(metavar="NAME", help="Where runs execute: local, ray.")] = "local",
    isolation: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="worker: a process does many runs, with one loaded model; process: one each."
        ),
    ] = "worker",
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Processes at a time; default: one per GPU, one without GPUs."),
    ] = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run every config of a sweep that isn't done yet, and aggregate. Interrupted, it goes on where it was.

    Exit code 0 when all runs finished, 1 when some failed, 130 when interrupted.

    Example: sft run-experiments etc/quickstart/quickstart.jsonnet --results-path quickstart-results
    """
    set_up_output(quiet, verbose)
    from sft.api import load_configs, plan_experiments, run_experiments
    from sft.plugins import import_modules

    import_modules(imports or ())
    configs = load_configs(config, overrides=override or (), seed=random_seed)
    chosen: dict[str, Any] = {"only": only or (), "force": force, "retry_failed": retry_failed}
    if dry_run:
        print_schedule(plan_experiments(configs, results_path, **chosen))
        return
    if isolation not in ("worker", "process"):
        raise typer.BadParameter(f"{isolation!r} is neither worker nor process", param_hint="--isolation")
    live = live_view(quiet)
    sweep = run_experiments(
        configs,
        results_path,
        **chosen,
        keep_adapters=keep_adapters,
        launcher=launcher,
        isolation="worker" if isolation == "worker" else "process",
        workers=workers,
        live=live,
    )
    print_table(sweep.table)
    print(results_path / "aggregated_results.md")
    if not no_report:
        report_after(results_path, sweep.table)
    if sweep.interrupted:
        print(f"interrupted: {live.summary()}; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if any(outcome.record.status == "failed" for outcome in sweep.outcomes):
        raise typer.Exit(FAILED_RUNS)
