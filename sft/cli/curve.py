"""`curve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    load,
    set_up_output,
)
from sft.cli.report import NoReport, report_after


@app.command()
def curve(
    config: ConfigPath,
    shots: Annotated[
        str, typer.Option(metavar="N,N,…", help="Labelled rows per label (in total for generation); 0: zero-shot.")
    ],
    seeds: Annotated[
        int, typer.Option(metavar="N", help="Runs of everything: the config's seed and the following ones.")
    ] = 5,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="zero, icl, the name of the adapter that the config trains (lora), or that with +icl; default: all.",
        ),
    ] = None,
    calibrations: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Calibrations, and none; default: the config's.")
    ] = None,
    icl_examples: Annotated[
        int, typer.Option(metavar="N", help="At most so many in-context examples per label (in total for generation).")
    ] = 4,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="The result to show; default: accuracy.")] = None,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a learning curve and say how many labels each method needs.

    Exit code 0 when all runs finished, 1 when some failed.

    Example: sft curve my.json --shots 0,4,16,64 --seeds 5 --methods zero,icl,lora --results-path curve-results
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "curve")
    from sft.curve import run_curve
    from sft.experiments.curve import CurveSpec

    spec = CurveSpec(
        split_numbers(shots, "--shots"), seeds, split_names(methods), split_names(calibrations), icl_examples
    )
    done = run_curve(loaded, spec, results_path, metric=metric, live=live_view(quiet))
    if done.curve is not None:
        for line in (*done.curve.answers, *(f"Note: {note}" for note in done.curve.notes)):
            print(line)
        print(done.files[-1])
    if not no_report:
        report_after(results_path, done.sweep.table)
    if done.sweep.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(outcome.record.status == "failed" for outcome in done.sweep.outcomes):
        raise typer.Exit(FAILED_RUNS)


def split_names(text: str | None) -> list[str]:
    return [] if text is None else [part.strip() for part in text.split(",")]


def split_numbers(text: str, option: str) -> list[int]:
    from sft.errors import SftError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SftError(f"{option}: {text!r} is no list of whole numbers", f"e.g. {option} 0,4,16,64") from None
