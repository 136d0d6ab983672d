"""`config show` and `config schema`."""

from __future__ import annotations

import typer

from sft.cli.app import app
from sft.cli.options import (
    ConfigPath,
    Imports,
    Override,
    Quiet,
    Seed,
    Verbose,
    set_up_output,
)

config_app = typer.Typer(help="Look at configs without running anything.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config, for editors.

    Example: sft config schema > sft.schema.json
    """
    import json

    from sft.config.schema import ExperimentConfig

    print(json.dumps(ExperimentConfig.model_json_schema(), indent=2))


@config_app.command("show")
def config_show(
    config: ConfigPath,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print a config (or every config of a sweep) with all defaults filled in, as JSON.

    Example: sft config show my.jsonnet -o dataset.shots=8 > shown.json
    """
    set_up_output(quiet, verbose)
    import json

    from sft.api import load_configs
    from sft.plugins import import_modules

    import_modules(imports or ())
    named = load_configs(config, overrides=override or (), seed=random_seed, endpoint=None)
    values = {name: value.model_dump(mode="json") for name, value in named}
    print(json.dumps(values if len(values) > 1 else next(iter(values.values())), indent=2, ensure_ascii=False))
