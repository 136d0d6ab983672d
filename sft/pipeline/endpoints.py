"""The endpoints: train, predict, evaluate, run_experiment."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.calibration import Needs
from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.data.load import load_unlabelled
from sft.distributed import on_main
from sft.errors import SftError, TrainingError
from sft.inference.generation.finished_rows import FinishedRows
from sft.models.load import LoadedModel
from sft.models.source import ModelSource, find_model
from sft.pipeline.answer import Answerer
from sft.pipeline.answers import Answers
from sft.pipeline.model import load, train_on_pool
from sft.pipeline.prepare import Prepared, prepare
from sft.pipeline.recording import RunLog, recording
from sft.pipeline.run import Run, bare_model, complete, evaluate_started, start
from sft.pipeline.select import Selecting, forget_selection, plan_selection, select_values
from sft.pipeline.session import Session
from sft.pipeline.shots import plan_shots
from sft.pipeline.tasks import task_scoring_shots
from sft.pipeline.unused_adapter import warn_of_unused_adapter
from sft.progress import hush_libraries
from sft.records import write_json
from sft.tracking import Trackers, trackers_asked
from sft.training.arguments import trainer_config
from sft.training.output import claim_output_dir, last_checkpoint, output_dir, save_trained
from sft.training.train import TrainingSummary

logger = logging.getLogger(__name__)


class Trained(NamedTuple):
    """What `train` leaves behind. chosen: values of trainer_args that `training.select` chose."""

    folder: Path
    run_id: str
    summary: TrainingSummary
    chosen: Mapping[str, Any]


def train(config: ExperimentConfig, *, overwrite: bool = False, resume: bool = False) -> Trained:
    """Train an adapter (or the whole model) on the shots and save it, with tokenizer, chat template and config, into
    `output_dir`.

    resume: go on from the last checkpoint in `output_dir`. overwrite: write into a folder that something else filled.
    """
    folder = output_dir(config)
    if folder is None:
        raise SftError(
            "training.trainer_args.output_dir is missing: `train` needs a folder to write to",
            "set it, e.g. -o training.trainer_args.output_dir=outputs/my-adapter",
        )
    hush_libraries()
    trackers_asked(config)  # so that one that isn't installed is told of first
    source = bare_model(find_model(config.model))
    if not config.has_shots:
        raise TrainingError("there is no row to train on: dataset.shots is 0", "raise dataset.shots")
    prepared = prepare(config)
    selection = plan_selection(prepared, trains=True)
    run_id = prepared.run_id(trains=True, checkpoint_fingerprint=source.fingerprint())
    on_main(lambda: claim_output_dir(folder, run_id, config.model_dump(mode="json"), overwrite=overwrite))
    checkpoint = on_main(lambda: last_checkpoint(folder)) if resume else None
    if resume and checkpoint is None:
        logger.warning("--resume: there is no checkpoint in %s; training starts from the beginning", folder)
    session = Session()
    selected = select_values(prepared, source, selection, Selecting(run_id, folder, session, RunLog()))
    args = trainer_config(selected.prepared.config, folder, keep_checkpoints=True)
    session.models.drop()
    loaded = load(config, source)
    with Trackers(selected.prepared.config, run_id, folder) as trackers:
        callbacks = trackers.callbacks()
        trained = train_on_pool(
            selected.prepared, loaded, args, resume_from=checkpoint, saves=True, callbacks=callbacks
        )
    summary = trained.summary
    on_main(lambda: _save(loaded, folder, selected.report))
    return Trained(folder, run_id, summary, selected.report.get("selection", {}).get("chosen", {}))


def _save(loaded: LoadedModel, folder: Path, report: Mapping[str, Any]) -> None:
    save_trained(loaded, folder)
    if report:
        write_json(folder / "selection.json", report["selection"])
        forget_selection(folder)


def evaluate(config: ExperimentConfig, results_path: str | Path = "results", *, checkpoint: str | None = None) -> Run:
    """Answer the test rows, compute the metrics, and write the run's folder under `results_path`."""
    started = start(config, results_path, trains=False, checkpoint=checkpoint)
    with recording(started.log):
        warn_of_unused_adapter(config, started.source)
    return evaluate_started(started)


def run_experiment(config: ExperimentConfig, results_path: str | Path = "results", *, name: str | None = None) -> Run:
    """Train on the shots (none: no adapter is made) and evaluate, with one model load.

    The adapter is kept where `training.trainer_args.output_dir` says, or not at all. A run that was interrupted goes on
    from what its folder holds.
    """
    return complete(start(config, results_path, trains=config.has_shots, name=name))


class Unanswered(NamedTuple):
    """Rows to predict: as prompts see them, and with all their columns. No model is loaded yet.

    also: what their answers need beside them.
    """

    prepared: Prepared
    source: ModelSource
    also: Sequence[Needs]
    examples: list[Example]
    rows: Any


def rows_to_predict(config: ExperimentConfig, checkpoint: str | None, input_path: str | None) -> Unanswered:
    """The test rows, or those of a file."""
    hush_libraries()
    source = find_model(config.model, checkpoint)
    warn_of_unused_adapter(config, source)
    prepared = prepare(config)
    plan = plan_shots(prepared, source, trains=False)
    task = task_scoring_shots(config)
    also = [Needs(shots=plan is not None and task is not None and task.needs_shots(config))]
    if input_path is None:
        examples = prepared.test
        rows = prepared.data.test_rows.select([example.row for example in examples])
    else:
        examples, rows = load_unlabelled(input_path, config)
    prepared.check_calibration(len(examples))
    return Unanswered(prepared, source, also, examples, rows)


def answer_rows(unanswered: Unanswered, finished: FinishedRows) -> Answers:
    """finished: where generated texts are kept as they come; those that are there aren't generated again."""
    prepared = unanswered.prepared
    loaded = load(prepared.config, unanswered.source)
    return Answerer(prepared, loaded, finished=finished).answer(unanswered.examples, also=unanswered.also)
