"""The program `sft`, to which the other modules add commands, and how it ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sft import __version__
from sft.cli.options import INTERRUPTED, USER_ERROR

app = typer.Typer(
    name="sft",
    help="Few-shot experiments with Hugging Face language models, from one JSON or JSONNET file.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point of `sft` and of `python -m sft.cli`."""
    from sft.errors import SftError
    from sft.stopping import install

    install()
    try:
        app()
    except SftError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"sft {__version__}")
        raise typer.Exit
