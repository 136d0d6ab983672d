"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sft import __version__

if TYPE_CHECKING:
    from sft.experiments.live import Live
    from sft.experiments.schedule import Schedule
    from sft.records import RunRecord
    from sft.reporting.compare import RunComparison
    from sft.reporting.rows import ReportTable

app = typer.Typer(
    name="sft",
    help="Few-shot experiments with Hugging Face language models, from one JSON or JSONNET file.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Look at configs without running anything.", no_args_is_help=True)
app.add_typer(config_app, name="config")
results_app = typer.Typer(help="Work on the results of finished runs.", no_args_is_help=True)
app.add_typer(results_app, name="results")
model_app = typer.Typer(help="Work on trained models.", no_args_is_help=True)
app.add_typer(model_app, name="model")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A .json or .jsonnet file.")]
Override = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="SECTION.KEY=VALUE", help="Replace a value of the config; repeatable."),
]
Seed = Annotated[int | None, typer.Option("--random-seed", min=0, help="Overrides the config's seed (default 13).")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Import a module first, which registers something; repeatable."),
]
ResultsPath = Annotated[Path, typer.Option("--results-path", help="Folder of results.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, no warnings.")]
Checkpoint = Annotated[
    str | None,
    typer.Option("--checkpoint", metavar="DIR", help="What `train` wrote, to use instead of the bare model."),
]

_USER_ERROR, _FAILED_RUNS, _INTERRUPTED = 2, 1, 130


def main() -> None:
    """The entry point of `sft` and of `python -m sft.cli`."""
    from sft.errors import SftError
    from sft.stopping import install

    install()
    try:
        app()
    except SftError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_USER_ERROR)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"sft {__version__}")
        raise typer.Exit


@app.command()
def train(
    config: ConfigPath,
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that something else filled.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train an adapter (or the model itself) on the shots and save it to training.trainer_args.output_dir.

    Example: sft train etc/configs/json/tweet_sentiment_qwen.json -o dataset.shots=8
    """
    _set_up_output(quiet)
    loaded = _load(config, override, random_seed, imports, "train")
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
        Path, typer.Option("--results-path", help="The TSV to write, or an existing folder to write it into.")
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
) -> None:
    """Write predictions (and label probabilities) beside the test rows' columns, as TSV.

    Example: sft predict my.json --checkpoint outputs/my-adapter --results-path predictions.tsv
    """
    _set_up_output(quiet)
    loaded = _load(config, override, random_seed, imports, "predict")
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
) -> None:
    """Score the model (or a trained adapter) on the test rows.

    Example: sft evaluate my.json --checkpoint outputs/my-adapter
    """
    _set_up_output(quiet)
    loaded = _load(config, override, random_seed, imports, "evaluate")
    from sft.pipeline.endpoints import evaluate

    run = evaluate(loaded, results_path, checkpoint=checkpoint)
    _print_results(run.record)
    print(run.folder / "record.json")


@app.command("run-experiment")
def run_experiment(
    config: ConfigPath,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
) -> None:
    """Train on the shots and evaluate, in one process.

    Example: sft run-experiment my.json --random-seed 14
    """
    _set_up_output(quiet)
    loaded = _load(config, override, random_seed, imports, "run-experiment")
    from sft.pipeline.endpoints import run_experiment

    run = run_experiment(loaded, results_path)
    _print_results(run.record)
    print(run.folder / "record.json")


@app.command("run-experiments")
def run_experiments(
    config: ConfigPath,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only runs whose name fits, e.g. 'shots=16*'; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and what is done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again what is complete.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run again what failed.")] = False,
    keep_adapters: Annotated[
        bool, typer.Option("--keep-adapters", help="Keep what is trained, in the folders of the runs.")
    ] = False,
    launcher: Annotated[str, typer.Option(help="Where runs execute: local, ray.")] = "local",
    isolation: Annotated[
        str, typer.Option(help="worker: a process does many runs, with one loaded model; process: one each.")
    ] = "worker",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; default: one per GPU, one without GPUs.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run every config of a sweep that isn't done yet, and aggregate. Interrupted, it goes on where it was.

    Exit code 0 when all runs finished, 1 when some failed, 130 when interrupted.

    Example: sft run-experiments etc/quickstart/quickstart.jsonnet --results-path quickstart-results
    """
    _set_up_output(quiet)
    from sft.api import load_configs, plan_experiments, run_experiments
    from sft.plugins import import_modules

    import_modules(imports or ())
    configs = load_configs(config, overrides=override or (), seed=random_seed)
    chosen: dict[str, Any] = {"only": only or (), "force": force, "retry_failed": retry_failed}
    if dry_run:
        _print_schedule(plan_experiments(configs, results_path, **chosen))
        return
    if isolation not in ("worker", "process"):
        raise typer.BadParameter(f"{isolation!r} is neither worker nor process", param_hint="--isolation")
    live = _live(quiet)
    sweep = run_experiments(
        configs,
        results_path,
        **chosen,
        keep_adapters=keep_adapters,
        launcher=launcher,
        isolation="worker" if isolation == "worker" else "process",
        workers=workers,
        live=live,
    )
    _print_table(sweep.table)
    print(results_path / "aggregated_results.md")
    if sweep.interrupted:
        print(f"interrupted: {live.summary()}; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED)
    if any(outcome.record.status == "failed" for outcome in sweep.outcomes):
        raise typer.Exit(_FAILED_RUNS)


@app.command()
def curve(
    config: ConfigPath,
    shots: Annotated[
        str, typer.Option(metavar="N,N,…", help="Labelled rows per label (in total for generation); 0: zero-shot.")
    ],
    seeds: Annotated[int, typer.Option(help="Runs of everything: the config's seed and the following ones.")] = 5,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="zero, icl, the name of the adapter that the config trains (lora), or that with +icl; default: all.",
        ),
    ] = None,
    calibrations: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Calibrations, and none; default: the config's.")
    ] = None,
    icl_examples: Annotated[
        int, typer.Option(help="At most so many in-context examples per label (in total for generation).")
    ] = 4,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="The result to show; default: accuracy.")] = None,
    results_path: ResultsPath = Path("results"),
    override: Override = None,
    random_seed: Seed = None,
    imports: Imports = None,
    quiet: Quiet = False,
) -> None:
    """Run a learning curve and say how many labels each method needs.

    Exit code 0 when all runs finished, 1 when some failed.

    Example: sft curve my.json --shots 0,4,16,64 --seeds 5 --methods zero,icl,lora --results-path curve-results
    """
    _set_up_output(quiet)
    loaded = _load(config, override, random_seed, imports, "curve")
    from sft.curve import run_curve
    from sft.experiments.curve import CurveSpec

    spec = CurveSpec(_numbers(shots, "--shots"), seeds, _names(methods), _names(calibrations), icl_examples)
    done = run_curve(loaded, spec, results_path, metric=metric, live=_live(quiet))
    if done.curve is not None:
        for line in (*done.curve.answers, *(f"Note: {note}" for note in done.curve.notes)):
            print(line)
        print(done.files[-1])
    if done.sweep.interrupted:
        raise typer.Exit(_INTERRUPTED)
    if any(outcome.record.status == "failed" for outcome in done.sweep.outcomes):
        raise typer.Exit(_FAILED_RUNS)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    import json

    from sft.config.schema import ExperimentConfig

    print(json.dumps(ExperimentConfig.model_json_schema(), indent=2))


@config_app.command("show")
def config_show(
    config: ConfigPath, override: Override = None, random_seed: Seed = None, imports: Imports = None
) -> None:
    """Print a config (or every config of a sweep) with all defaults filled in."""
    import json

    from sft.api import load_configs
    from sft.plugins import import_modules

    import_modules(imports or ())
    named = load_configs(config, overrides=override or (), seed=random_seed, endpoint=None)
    values = {name: value.model_dump(mode="json") for name, value in named}
    print(json.dumps(values if len(values) > 1 else next(iter(values.values())), indent=2, ensure_ascii=False))


@results_app.command("aggregate")
def results_aggregate(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of runs or of results.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder to write to; default: the first RESULTS.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="NAME", help="json, md, csv or tex; default: all. Repeatable."),
    ] = None,
) -> None:
    """Put runs into one table: a row per configuration over its seeds, with intervals, paired tests and baselines.

    Example: sft results aggregate results --out paper --format tex
    """
    from sft.api import aggregate_results

    done = aggregate_results(results, out=out, formats=formats or ())
    _print_table(done.table)
    for file in done.files:
        print(file)


@results_app.command("compare")
def results_compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of a run, or its record.json.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another, on the same test rows.")],
    output_format: Annotated[str, typer.Option("--format", metavar="NAME", help="text, md or json.")] = "text",
    items: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the differing items to list.")] = 20,
) -> None:
    """Compare two runs on the same test rows: metrics, classes, and the items on which they differ.

    Example: sft results compare results/sst2-…-seed13-0123456789ab results/sst2-…-seed13-ba9876543210 --items 50
    """
    import json

    from sft.reporting.compare import compare_runs
    from sft.reporting.comparison_files import comparison_json, comparison_markdown

    if output_format not in ("text", "md", "json"):
        raise typer.BadParameter(f"{output_format!r} is none of text, md, json", param_hint="--format")
    comparison = compare_runs(first, second)
    if output_format == "json":
        print(json.dumps(comparison_json(comparison, items), indent=2, ensure_ascii=False))
    elif output_format == "md":
        print(comparison_markdown(comparison, items), end="")
    else:
        _print_comparison(comparison, items)


@results_app.command("calibrate")
def results_calibrate(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of runs or of results.")],
    method: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Calibration; none; all: every one that the scores suffice for. Repeatable."),
    ],
    args: Annotated[str | None, typer.Option(metavar="JSON", help="Arguments of the one method.")] = None,
    normalization: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Score normalization, or all; default: each run's own. Repeatable."),
    ] = None,
    results_path: Annotated[
        Path | None, typer.Option("--results-path", help="Folder of results; default: beside each run.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Apply calibrations to the scores that finished runs have stored: new records, no model.

    Example: sft results calibrate results --method all
    """
    _set_up_output(quiet)
    from sft.api import calibrate_results
    from sft.config.load import json_object

    done = calibrate_results(
        results,
        method,
        args=None if args is None else json_object(args, "--args"),
        normalizations=normalization or (),
        results_path=results_path,
    )
    for note in done.notes:
        print(note, file=sys.stderr)
    _print_table(done.table)
    places = sorted({str(folder.parent) for folder in done.folders})
    print(f"new records: {len(done.folders)}" + (f", in {', '.join(places)}" if places else ""))


@model_app.command("merge")
def model_merge(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A folder with a trained adapter.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    results_path: Annotated[
        Path, typer.Option("--results-path", help="Folder of results, for the metrics of runs with this adapter.")
    ] = Path("results"),
    overwrite: Annotated[bool, typer.Option(help="Write into a folder that isn't empty.")] = False,
    quiet: Quiet = False,
) -> None:
    """Merge an adapter into its base, check that outputs are the same, and write a plain Hugging Face folder.

    Example: sft model merge outputs/my-adapter outputs/my-model
    """
    _set_up_output(quiet)
    from sft.pipeline.merge import merge_model

    merged = merge_model(checkpoint, out, results_path=results_path, overwrite=overwrite)
    print(f"merged in float32 (difference {merged.difference:.1e}), written in {merged.dtype} ({merged.rounded:.1e})")
    print(f"metrics of: {', '.join(merged.metrics_of) or f'no run in {results_path}'}")
    print(merged.folder)


def _load(config: Path, override: list[str] | None, seed: int | None, imports: list[str] | None, endpoint: str) -> Any:
    from sft.api import load_config
    from sft.plugins import import_modules

    import_modules(imports or ())
    return load_config(config, overrides=override or (), seed=seed, endpoint=endpoint)


def _live(quiet: bool) -> Live:
    from sft.experiments.live import Live, PlainLive, TerminalLive

    return Live() if quiet else TerminalLive() if sys.stderr.isatty() else PlainLive()


def _names(text: str | None) -> list[str]:
    return [] if text is None else [part.strip() for part in text.split(",")]


def _numbers(text: str, option: str) -> list[int]:
    from sft.errors import SftError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SftError(f"{option}: {text!r} is no list of whole numbers", f"e.g. {option} 0,4,16,64") from None


def _set_up_output(quiet: bool) -> None:
    """Warnings to stderr; `--quiet` silences them and the progress bars."""
    import logging

    from sft.logs import configure_logging
    from sft.progress import set_quiet

    set_quiet(quiet)
    configure_logging(logging.ERROR if quiet else logging.WARNING)


def _print_results(record: RunRecord) -> None:
    for name, value in record.results.items():
        if isinstance(value, (int, float)):
            print(f"{name}\t{value:.4f}")
    for baseline, values in record.baselines.items():
        print(f"baseline {baseline}: accuracy\t{values['accuracy']:.4f}")


def _print_schedule(planned: Schedule) -> None:
    from sft.experiments.live import duration, told

    for run in planned.runs:
        if run.name in planned.ended:
            what = told(planned.ended[run.name])
        else:
            seconds = planned.seconds[run.name]
            what = "to run" if seconds is None else f"to run, about {duration(seconds)}"
        print(f"{run.name}\t{what}")
    known = [seconds for seconds in planned.seconds.values() if seconds is not None]
    text = f"{len(planned.ended)} of {len(planned.runs)} runs ended"
    if planned.seconds:
        text += f", {len(planned.seconds)} to run in {len(planned.tasks)} tasks that share a model's answers"
    if known:
        text += f"; those like finished ones: about {duration(sum(known))} on one worker"
    if len(known) < len(planned.seconds):
        text += f"; {len(planned.seconds) - len(known)} of unknown cost (nothing like them has finished here)"
    print(text)


def _print_table(table: ReportTable) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sft.reporting.caption import common_settings, reading
    from sft.reporting.columns import TIED, configuration_cells

    header, rows = configuration_cells(table)
    about = escape(" ".join([*reading(table), common_settings(table)]).strip())
    grid = Table(caption=about, caption_justify="left")
    for title in header:
        grid.add_column(escape(title), overflow="fold")
    for row in rows:
        cells = [escape(f"{cell.text}{TIED if cell.mark == 'tied' else ''}\n{cell.interval}".strip()) for cell in row]
        bold = [cell.mark == "best" for cell in row]
        grid.add_row(*(f"[bold]{text}[/bold]" if best else text for text, best in zip(cells, bold, strict=True)))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(grid)
    for note in table.notes:
        console.print(f"Note: {note}", markup=False)


def _print_comparison(comparison: RunComparison, items: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sft.reporting.comparison_files import heading, sections

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(heading(comparison), markup=False)
    for title, about, header, rows in sections(comparison, items):
        grid = Table(title=title, title_justify="left", caption=escape(about), caption_justify="left")
        for name in header:
            grid.add_column(name, overflow="fold")
        for row in rows:
            grid.add_row(*map(escape, row))
        console.print(grid)
    for note in comparison.notes:
        console.print(f"Note: {note}", markup=False)


if __name__ == "__main__":
    main()
