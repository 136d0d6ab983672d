"""`results aggregate`, `compare` and `calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sft.cli.app import app
from sft.cli.options import (
    Quiet,
    Verbose,
    set_up_output,
)
from sft.cli.show import print_comparison, print_table

results_app = typer.Typer(help="Work on the results of finished runs.", no_args_is_help=True)
app.add_typer(results_app, name="results")


@results_app.command("aggregate")
def results_aggregate(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of runs or of results.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder to write to; default: the first RESULTS.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="NAME", help="json, md, csv or tex; default: all. Repeatable."),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put runs into one table: a row per configuration over its seeds, with intervals, paired tests and baselines.

    Example: sft results aggregate results --out paper --format tex
    """
    set_up_output(quiet, verbose)
    from sft.api import aggregate_results

    done = aggregate_results(results, out=out, formats=formats or ())
    print_table(done.table)
    for file in done.files:
        print(file)


@results_app.command("compare")
def results_compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of a run, or its record.json.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another, on the same test rows.")],
    output_format: Annotated[str, typer.Option("--format", metavar="NAME", help="text, md or json.")] = "text",
    items: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the differing items to list.")] = 20,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare two runs on the same test rows: metrics, classes, and the items on which they differ.

    Example: sft results compare results/sst2-…-seed13-0123456789ab results/sst2-…-seed13-ba9876543210 --items 50
    """
    set_up_output(quiet, verbose)
    import json

    from sft.reporting.compare import compare_runs
    from sft.reporting.comparison_files import comparison_json, comparison_markdown

    if output_format not in ("text", "md", "json"):
        raise typer.BadParameter(f"{output_format!r} is none of text, md, json", param_hint="--format")
    comparison = compare_runs(first, second)
    if output_format == "json":
        print(json.dumps(comparison_json(comparison, items), indent=2, ensure_ascii=False))
    elif output_format == "md":
        print(comparison_markdown(comparison, items), end="")
    else:
        print_comparison(comparison, items)


@results_app.command("calibrate")
def results_calibrate(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of runs or of results.")],
    method: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Calibration; none; all: every one that the scores suffice for. Repeatable."),
    ],
    args: Annotated[str | None, typer.Option(metavar="JSON", help="Arguments of the one method.")] = None,
    normalization: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Score normalization, or all; default: each run's own. Repeatable."),
    ] = None,
    results_path: Annotated[
        Path | None, typer.Option("--results-path", metavar="DIR", help="Folder of results; default: beside each run.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Apply calibrations to the scores that finished runs have stored: new records, no model.

    Example: sft results calibrate results --method all
    """
    set_up_output(quiet, verbose)
    from sft.api import calibrate_results
    from sft.config.load import json_object

    done = calibrate_results(
        results,
        method,
        args=None if args is None else json_object(args, "--args"),
        normalizations=normalization or (),
        results_path=results_path,
    )
    for note in done.notes:
        print(note, file=sys.stderr)
    print_table(done.table)
    places = sorted({str(folder.parent) for folder in done.folders})
    print(f"new records: {len(done.folders)}" + (f", in {', '.join(places)}" if places else ""))
