"""`model merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sft.cli.app import app
from sft.cli.options import (
    Quiet,
    Verbose,
    set_up_output,
)

model_app = typer.Typer(help="Work on trained models.", no_args_is_help=True)
app.add_typer(model_app, name="model")


@model_app.command("merge")
def model_merge(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A folder with a trained adapter.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    results_path: Annotated[
        Path,
        typer.Option(
            "--results-path", metavar="DIR", help="Folder of results, for the metrics of runs with this adapter."
        ),
    ] = Path("results"),
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that isn't empty.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Merge an adapter into its base, check that outputs are the same, and write a plain Hugging Face folder.

    Example: sft model merge outputs/my-adapter outputs/my-model
    """
    set_up_output(quiet, verbose)
    from sft.pipeline.merge import merge_model

    merged = merge_model(checkpoint, out, results_path=results_path, overwrite=overwrite)
    print(f"merged in float32 (difference {merged.difference:.1e}), written in {merged.dtype} ({merged.rounded:.1e})")
    print(f"metrics of: {', '.join(merged.metrics_of) or f'no run in {results_path}'}")
    print(merged.folder)
