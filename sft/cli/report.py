"""`report`, and the page that ends a sweep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft.cli.app import app
from sft.cli.options import Quiet, Verbose, set_up_output

if TYPE_CHECKING:
    from sft.reporting.rows import ReportTable

FILE = "report.html"

NoReport = Annotated[bool, typer.Option("--no-report", help=f"Don't write {FILE} into the results path.")]


@app.command("report")
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of runs or of results.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The page to write.")] = Path(FILE),
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show runs as one HTML page that needs no network: tables, charts, test rows, configs. It holds texts of the data.

    Example: sft report results -o report.html
    """
    set_up_output(quiet, verbose)
    from sft.api import write_report

    print(write_report(results, out))


def report_after(results_path: Path, table: ReportTable) -> None:
    """Write the page of a sweep that ended, into its results path. That it can't be written is only a warning."""
    from sft.api import write_report

    try:
        print(write_report([results_path], results_path / FILE, table=table, only_new=True))
    except Exception as error:
        print(f"WARNING: no {FILE}: {error or type(error).__name__}; the results are complete", file=sys.stderr)
