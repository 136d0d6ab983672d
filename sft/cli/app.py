"""The program `sft`, to which the other modules add commands, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from sft import __version__
from sft.cli.options import EXIT_CODES, FAILED_RUNS, INTERRUPTED, NO_READER, USER_ERROR

FOR_SEVERAL_PROCESSES = ("train", "predict", "evaluate", "run-experiment")

app = typer.Typer(
    name="sft",
    help="Few-shot experiments with Hugging Face language models, from one JSON or JSONNET file.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point of `sft` and of `python -m sft.cli`."""
    from sft import distributed
    from sft.errors import SftError
    from sft.stopping import install

    install()
    stdout = sys.stdout
    try:
        with contextlib.nullcontext() if distributed.is_main() else _silent():
            app()
    except SftError as error:
        _end(f"error: {error}", USER_ERROR)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except distributed.OtherProcessError:
        sys.exit(FAILED_RUNS)
    except Exception:
        if distributed.fails_first():
            raise
        sys.exit(FAILED_RUNS)
    except SystemExit as end:
        if _reader_is_gone(stdout):
            sys.exit(NO_READER)
        if not end.code:
            distributed.leave()
        raise


def _reader_is_gone(stdout: TextIO) -> bool:
    """Whether what `| head` and the like took was less than what was printed, after which nothing more is."""
    # Typer puts something silent in place of stdout where a print fails.
    failed = sys.stdout is not stdout
    try:
        stdout.flush()
    except BrokenPipeError:
        failed = True
    if failed:
        # What is left in the buffer is written at exit, and would fail there with a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    return failed


def _end(message: str, code: int) -> None:
    """Of several processes, the first that fails says why: others mostly fail for the same reason, or by its end."""
    from sft import distributed

    if distributed.fails_first():
        print(message, file=sys.stderr)
    sys.exit(code)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing is printed to stdout, whoever prints it."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@app.callback(invoke_without_command=True)
def _before(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    from sft import distributed

    if version:
        print(f"sft {__version__}")
        raise typer.Exit
    if context.invoked_subcommand in FOR_SEVERAL_PROCESSES:
        distributed.join()
    elif context.invoked_subcommand is not None:
        distributed.refuse_several(
            f"sft {context.invoked_subcommand}",
            f"start it without torchrun or accelerate launch, which are for {', '.join(FOR_SEVERAL_PROCESSES)}",
        )
