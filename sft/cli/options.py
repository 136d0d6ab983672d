"""What commands share: options, exit codes, and the set-up that options ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sft.experiments.live import Live


ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A .json or .jsonnet file; -: the standard input.")]
Override = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="SECTION.KEY=VALUE", help="Replace a value of the config; repeatable."),
]
Seed = Annotated[
    int | None, typer.Option("--random-seed", metavar="N", min=0, help="Overrides the config's seed (default 13).")
]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import a module first, which registers something; repeatable."),
]
ResultsPath = Annotated[Path, typer.Option("--results-path", metavar="DIR", help="Folder of results.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, no warnings.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Also say what is being done.")]
Checkpoint = Annotated[
    str | None,
    typer.Option("--checkpoint", metavar="DIR", help="What `train` wrote, to use instead of the bare model."),
]

USER_ERROR, FAILED_RUNS, INTERRUPTED, NO_READER = 2, 1, 130, 141
EXIT_CODES = (
    "Exit codes: 0 done; 1 some runs failed, or a bug; 2 something to mend in the command, the config or its files; "
    "130 interrupted; 141 nobody reads the output any more."
)


def load(config: Path, override: list[str] | None, seed: int | None, imports: list[str] | None, endpoint: str) -> Any:
    from sft.api import load_config
    from sft.plugins import import_modules

    import_modules(imports or ())
    return load_config(config, overrides=override or (), seed=seed, endpoint=endpoint)


def live_view(quiet: bool) -> Live:
    from sft.experiments.live import Live, PlainLive, TerminalLive

    return Live() if quiet else TerminalLive() if sys.stderr.isatty() else PlainLive()


def set_up_output(quiet: bool, verbose: bool = False) -> None:
    """Warnings to stderr; `--quiet` silences them and the progress bars, `--verbose` adds what is being done.

    Of several processes, the first speaks.
    """
    if quiet and verbose:
        raise typer.BadParameter("not together with --quiet", param_hint="--verbose")
    import logging
    import warnings

    from sft.distributed import is_main
    from sft.logs import configure_logging
    from sft.progress import set_quiet

    set_quiet(quiet)
    level = logging.INFO if verbose else logging.WARNING
    configure_logging(logging.ERROR if quiet or not is_main() else level)
    if not is_main():
        warnings.simplefilter("ignore")
