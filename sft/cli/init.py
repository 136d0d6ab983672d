"""`init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sft.cli.app import app
from sft.cli.ask import asker
from sft.cli.options import Quiet, Verbose, set_up_output

DEFAULT_MODEL = "Qwen/Qwen2.5-0.5B-Instruct"


@app.command()
def init(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...", help="A csv, tsv, json, jsonl or parquet file, several, a folder, or a hub id."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The config to write: .jsonnet (commented) or .json.")
    ] = Path("config.jsonnet"),
    output_column: Annotated[
        str | None, typer.Option("--output-column", metavar="NAME", help="The column that holds the answer.")
    ] = None,
    input_column: Annotated[
        list[str] | None,
        typer.Option("--input-column", metavar="NAME", help="A column that the model sees; repeatable."),
    ] = None,
    candidate_column: Annotated[
        list[str] | None,
        typer.Option("--candidate-column", metavar="NAME", help="Multiple choice: a column of candidates; repeatable."),
    ] = None,
    task_type: Annotated[
        str | None,
        typer.Option("--task-type", metavar="NAME", help="classification, generation, multilabel or multiple_choice."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="VALUE=WORDS", help="What the model reads for a label; repeatable."),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What the model is told; default: drafted from columns and labels."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Hub id or folder of a model; suggested: {DEFAULT_MODEL}.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="lora, icl or zero-shot; suggested: lora.")] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Labelled rows to learn from: per label, if there are labels, else in total."
        ),
    ] = None,
    split: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.01,
            max=0.9,
            help="Share of the rows to hold out for testing, where there is no test split; suggested: 0.2.",
        ),
    ] = None,
    dataset_arg: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset-arg", metavar="NAME=VALUE", help="Passed to the loader, e.g. name=sentiment; repeatable."
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Write a sweep over zero-shot, icl, lora and three seeds instead.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Ask nothing: decide by the data, and say on stderr what was decided.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a first config from a look at your data, asking what can't be told from it.

    A table without a test split is divided, and the two files are written beside the config.

    Example: sft init reviews.csv

    Example: sft init reviews.csv --output-column stars --sweep --yes -o sweep.jsonnet
    """
    set_up_output(quiet, verbose)
    from sft.cli import questions
    from sft.config.load import named_arguments
    from sft.init.draft import Choices, input_limit
    from sft.init.guess import Given
    from sft.init.make import data_folder, make, refuse_existing
    from sft.init.methods import method_registry
    from sft.init.rows import read_source

    person = asker(yes, quiet)
    paths = data or [person.ask("Data set (file, folder or hub id)", None, "DATA, e.g. sft init reviews.csv", str)]
    source = read_source(paths, named_arguments(dataset_arg or (), "--dataset-arg"))
    kind = None if task_type is None else questions.task_type(task_type)
    given = Given(output_column, kind, tuple(input_column or ()), tuple(candidate_column or ()))
    guess = questions.ask_columns(person, source, given)
    task = questions.ask_task(person, source, guess, split)
    refuse_existing(out, task, force)
    task = task._replace(labels=questions.ask_wordings(person, task, label or ()))
    name = model or person.ask("Model (hub id or folder)", DEFAULT_MODEL, "--model", str)
    methods = list(method_registry) if sweep else [questions.ask_method(person, method)]
    shots = questions.ask_shots(person, task) if shots is None and methods != ["zero-shot"] else shots or 0
    path = str(data_folder(out)) if task.written else task.path
    files = make(out, task, Choices(path, out.stem, name, instruction, shots), methods, sweep=sweep)
    for reason in task.reasons:
        person.tell(f"note: {reason}")
    if limit := input_limit(task):
        person.tell(
            f"note: texts of more than {limit} tokens are cut (prompting.max_input_length); sft doctor counts them"
        )
    person.tell(f"next: sft doctor {out}, and sft {'run-experiments' if sweep else 'run-experiment'} {out}")
    for file in files:
        print(file)
