"""`model export-lm-eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sft.cli.model import model_app
from sft.cli.options import Checkpoint, ConfigPath, Imports, Override, Quiet, Seed, Verbose, load, set_up_output


@model_app.command("export-lm-eval")
def model_export_lm_eval(
    config: ConfigPath,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    checkpoint: Checkpoint = None,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the test rows as a task for EleutherAI's lm-evaluation-harness, which then gives the same accuracy.

    Example: sft model export-lm-eval my.json --checkpoint outputs/my-adapter --out task
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "evaluate")
    from sft.lm_eval.export import export_lm_eval

    made = export_lm_eval(loaded, out, checkpoint=checkpoint)
    print(f"{made.rows} rows; {made.metric} is accuracy")
    print(f"cd {made.folder} && {made.command or made.own_command}")
