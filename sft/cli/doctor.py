"""`doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from sft.cli.app import app
from sft.cli.options import (
    USER_ERROR,
    Checkpoint,
    ConfigPath,
    Imports,
    Override,
    Quiet,
    Seed,
    Verbose,
    set_up_output,
)


@app.command()
def doctor(
    config: ConfigPath,
    endpoint: Annotated[
        str,
        typer.Option(metavar="COMMAND", help="The command to examine for: train, predict, evaluate, run-experiment."),
    ] = "run-experiment",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of a sweep, the configs of this name or pattern; repeatable."),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="NAME", help="The GPU that the run is meant for: h100, a100-80gb, …")
    ] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(metavar="GIB", min=0, help="Its memory; default: that of --gpu, or of this machine.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts (docs/doctor.md).")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    checkpoint: Checkpoint = None,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what a run would do and what is wrong with it, without training and without loading weights.

    Exit code 0 without an error, 2 with one (with --strict: with a warning).

    Example: sft doctor my.json --gpu h100
    """
    set_up_output(quiet or not verbose, verbose)
    from sft.api import load_configs
    from sft.cli.diagnosis import print_diagnoses
    from sft.errors import ConfigError
    from sft.plugins import import_modules

    import_modules(imports or ())
    from sft.doctor.case import setting_of
    from sft.doctor.several import as_json as json_of
    from sft.doctor.several import diagnose_all, of_config_error

    setting = setting_of(endpoint, checkpoint, gpu, gpu_memory)
    try:
        configs = load_configs(config, overrides=override or (), seed=random_seed, endpoint=endpoint)
        diagnoses = diagnose_all(configs, setting, only or [])
    except ConfigError as error:
        diagnoses = {str(config): of_config_error(error)}
    value = json_of(diagnoses)
    if as_json:
        import json

        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print_diagnoses(diagnoses, quiet=quiet)
    if value["worst"] in (("error", "warn") if strict else ("error",)):
        raise typer.Exit(USER_ERROR)
