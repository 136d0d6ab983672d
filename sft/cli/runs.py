"""The endpoints of one config: train, predict, evaluate, run-experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sft.cli.app import app
from sft.cli.options import (
    Checkpoint,
    ConfigPath,
    Imports,
    Override,
    Quiet,
    ResultsPath,
    Seed,
    Verbose,
    load,
    set_up_output,
)
from sft.cli.show import print_results


@app.command()
def train(
    config: ConfigPath,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that something else filled.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train an adapter (or the model itself) on the shots and save it to training.trainer_args.output_dir.

    Example: sft train etc/configs/json/tweet_sentiment_qwen.json -o dataset.shots=8
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "train")
    from sft.pipeline.endpoints import train

    trained = train(loaded, overwrite=overwrite, resume=resume)
    summary = trained.summary
    what = f"{summary.sequences} examples, {summary.steps} steps, loss {summary.loss:.4f}"
    if trained.chosen:
        print("chosen: " + ", ".join(f"{name} {value}" for name, value in trained.chosen.items()))
    print(f"trained on {what}, {summary.seconds:.0f} s")
    print(trained.folder)


@app.command()
def predict(
    config: ConfigPath,
    results_path: Annotated[
        Path,
        typer.Option(
            "--results-path", metavar="FILE", help="The TSV to write, or an existing folder to write it into."
        ),
    ] = Path("predictions"),
    input_path: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE", help="Unlabelled rows to predict instead of the test split."),
    ] = None,
    checkpoint: Checkpoint = None,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write predictions (and label probabilities) beside the test rows' columns, as TSV.

    Example: sft predict my.json --checkpoint outputs/my-adapter --results-path predictions.tsv
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "predict")
    from sft.pipeline.predict import predict

    path = predict(loaded, results_path, checkpoint=checkpoint, input_path=input_path)
    print(path)


@app.command()
def evaluate(
    config: ConfigPath,
    results_path: ResultsPath = Path("results"),
    checkpoint: Checkpoint = None,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Score the model (or a trained adapter) on the test rows.

    Example: sft evaluate my.json --checkpoint outputs/my-adapter
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "evaluate")
    from sft.pipeline.endpoints import evaluate

    run = evaluate(loaded, results_path, checkpoint=checkpoint)
    print_results(run.record)
    print(run.folder / "record.json")


@app.command("run-experiment")
def run_experiment(
    config: ConfigPath,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train on the shots and evaluate, in one process.

    Example: sft run-experiment my.json --random-seed 14
    """
    set_up_output(quiet, verbose)
    loaded = load(config, override, random_seed, imports, "run-experiment")
    from sft.pipeline.endpoints import run_experiment

    run = run_experiment(loaded, results_path)
    print_results(run.record)
    print(run.folder / "record.json")
