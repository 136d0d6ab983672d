"""One run: train where there are shots, answer the test rows, and leave a record. It can go on where it was stopped."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sft.calibration import Needs
from sft.config.files import Stamps, input_stamps
from sft.config.schema import ExperimentConfig
from sft.distributed import on_main, world_size
from sft.environment import environment
from sft.errors import ModelError
from sft.evaluation.metrics import compute_metrics
from sft.inference.generation.finished_rows import FinishedRows
from sft.inference.shards import ShardFolder
from sft.models.load import LoadedModel
from sft.models.source import ModelSource, find_model
from sft.peak_memory import PeakMemory
from sft.pipeline.answer import Answerer
from sft.pipeline.answers import Answers
from sft.pipeline.canonical import plan_id
from sft.pipeline.items import items_of
from sft.pipeline.model import train_on_pool
from sft.pipeline.prepare import Prepared, prepare
from sft.pipeline.recording import RunLog, make_folder, now, recording
from sft.pipeline.select import Selected, Selecting, SelectionPlan, plan_selection, select_values
from sft.pipeline.session import Session
from sft.pipeline.shots import ShotPlan, plan_shots, score_in_folds
from sft.pipeline.slug import slug
from sft.pipeline.support import ALWAYS_STORED
from sft.pipeline.tasks import task_of
from sft.pipeline.tasks.base import ScoredShot
from sft.pipeline.unfinished import Unfinished
from sft.progress import hush_libraries
from sft.records import ADAPTER_FOLDER, RunRecord, write_items, write_record, write_support
from sft.tracking import Trackers, trackers_asked
from sft.training.arguments import trainer_config
from sft.training.output import claim_output_dir, last_checkpoint, output_dir, save_trained
from sft.training.sharded import refuse_sharded

logger = logging.getLogger(__name__)


class Run(NamedTuple):
    """A finished run: its record, and the folder that holds it."""

    record: RunRecord
    folder: Path


@dataclass(frozen=True)
class RunOptions:
    """What doesn't change a run's results.

    keep_adapter: whether what is trained stays in the run's folder. also: what to score beside the rows, for runs that
    will use the scores. smaller: what the batches of training are divided by, because memory ran out. before_record:
    called last, and may raise where the record is not to be written.
    """

    keep_adapter: bool = False
    also: Sequence[Needs] = ()
    smaller: int = 1
    before_record: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Started:
    """A run whose data is loaded and whose folder exists; no model yet.

    adapter_fingerprint: of the trained adapter, or fully trained weights, that are evaluated. shots: how they will
    be scored, if they will. selection: how training arguments will be chosen, likewise. inputs: of the files that
    are read. plan_id: None where a config alone wouldn't give this run. trackers: not yet open.
    """

    prepared: Prepared
    source: ModelSource
    adapter_fingerprint: str | None
    shots: ShotPlan | None
    selection: SelectionPlan | None
    run_id: str
    folder: Path
    log: RunLog
    name: str | None
    inputs: Stamps
    plan_id: str | None
    session: Session
    trackers: Trackers
    peak: PeakMemory = field(default_factory=PeakMemory)


def start(
    config: ExperimentConfig,
    results_path: str | Path,
    *,
    trains: bool,
    name: str | None = None,
    checkpoint: str | None = None,
    session: Session | None = None,
) -> Started:
    """Find the model, load the data, and make the run's folder: everything that fails early."""
    session = session or Session()
    log = RunLog()
    results_path = make_folder(Path(results_path), "--results-path")
    hush_libraries()
    trackers_asked(config)  # so that one that isn't installed is told of first
    with recording(log):
        inputs = input_stamps(config)
        source = find_model(config.model, checkpoint)
        if trains:
            refuse_sharded("run-experiment")
            bare_model(source)
        with log.stage("data"):
            prepared = prepare(config, session.data.get)
        prepared.check_calibration(len(prepared.test))
        shots = plan_shots(prepared, source, trains=trains)
        selection = plan_selection(prepared, trains=trains)
    fingerprint = source.fingerprint()
    run_id = prepared.run_id(trains=trains, checkpoint_fingerprint=fingerprint)
    folder = make_folder(results_path / f"{slug(config)}-{run_id}", "--results-path")
    by_config = checkpoint is None and trains == config.has_shots and not (trains and world_size() > 1)
    planned = plan_id(config) if by_config else None
    trackers = Trackers(prepared.config, run_id, folder, name)
    return Started(
        prepared, source, fingerprint, shots, selection, run_id, folder, log, name, inputs, planned, session, trackers
    )


def complete(started: Started, options: RunOptions | None = None) -> Run:
    """Train where there are shots, then evaluate."""
    return _tracked(started, lambda unfinished: _complete(started, unfinished, options or RunOptions()))


def evaluate_started(started: Started) -> Run:
    """Answer the test rows with the model as it is."""
    return _tracked(started, lambda unfinished: _evaluate_as_it_is(started, unfinished, RunOptions()))


def _tracked(started: Started, work: Callable[[Unfinished], Run]) -> Run:
    """What `work` does, with the log, the unfinished part and the trackers of a run."""
    with recording(started.log, started.folder), started.trackers:
        run = work(Unfinished(started.folder, started.inputs))
        started.trackers.conclude(run.record)
        return run


def _evaluate_as_it_is(started: Started, unfinished: Unfinished, options: RunOptions) -> Run:
    with _model(started, started.source) as loaded:
        return _evaluate(started, loaded, unfinished, options)


def _complete(started: Started, unfinished: Unfinished, options: RunOptions) -> Run:
    config = started.prepared.config
    if not config.has_shots:
        return _evaluate_as_it_is(started, unfinished, options)
    # Before the run's own model is trained, which begins with seeding everything anew.
    selected = _select(started, unfinished, options)
    training = dataclasses.replace(started, prepared=selected.prepared)
    shots = _scores_of_shots(training, unfinished, options)
    before = unfinished.trained()
    if before is None:
        with _model(started, started.source) as loaded:
            report = _train(training, loaded, unfinished, options) | selected.report
            return _evaluate(started, loaded, unfinished, options, shots, report)
    logger.info("going on with what %s has trained", before.folder)
    for warning in before.warnings:
        logger.warning("%s", warning)
    started.log.timings |= before.seconds
    with _model(started, find_model(config.model, str(before.folder))) as loaded:
        loaded.source = started.source
        return _evaluate(started, loaded, unfinished, options, shots, before.report | selected.report)


def bare_model(source: ModelSource) -> ModelSource:
    """The same source. Raises `ModelError` where it has an adapter, on which no other is trained."""
    if source.adapter is not None:
        raise ModelError(
            f"model.name is {str(source.adapter)!r}, a trained adapter: training starts from a model without one",
            f"set model.name to its base {source.base!r}; or set dataset.shots to 0 to use the adapter as it is",
        )
    return source


@contextmanager
def _model(started: Started, source: ModelSource) -> Iterator[LoadedModel]:
    with ExitStack() as stack:
        with started.log.stage("model"):
            loaded = stack.enter_context(started.session.model(started.prepared.config, source))
        yield loaded


def _train(started: Started, loaded: LoadedModel, unfinished: Unfinished, options: RunOptions) -> dict[str, Any]:
    """Train the loaded model, keep the result, and return what a record says of it."""
    config, log = started.prepared.config, started.log
    asked = output_dir(config)
    if asked is not None:
        values = config.model_dump(mode="json")
        on_main(lambda: claim_output_dir(asked, started.run_id, values, overwrite=False))
    folder = asked or unfinished.training
    args = trainer_config(config, folder, keep_checkpoints=asked is not None, smaller=options.smaller)
    checkpoint = on_main(lambda: last_checkpoint(folder)) if unfinished.training_was_begun() else None
    with log.stage("training"), log.overheard() as warnings:
        callbacks = started.trackers.callbacks()
        trained = train_on_pool(started.prepared, loaded, args, resume_from=checkpoint, saves=True, callbacks=callbacks)
    report = {**dataclasses.asdict(trained.summary), **trained.prompts}
    with log.stage("saving"):
        if asked is not None:
            on_main(lambda: save_trained(loaded, asked))
        unfinished.keep_trained(loaded, report, warnings, {"training": log.timings["training"]})
    return report


def _select(started: Started, unfinished: Unfinished, options: RunOptions) -> Selected:
    """The run with the values that `training.select` chooses; with those of its config where nothing is selected."""
    selecting = Selecting(started.run_id, unfinished.selection, started.session, started.log, options.smaller)
    return select_values(started.prepared, started.source, started.selection, selecting)


class _ShotScores(NamedTuple):
    """What other models said of the shots, and what there was to warn of."""

    inputs: list[ScoredShot]
    warnings: list[str]


def _scores_of_shots(started: Started, unfinished: Unfinished, options: RunOptions) -> _ShotScores | None:
    if started.shots is None:
        return None
    with started.log.stage("folds"), started.log.apart() as warnings:
        inputs = score_in_folds(
            started.prepared, started.source, started.shots.folds, started.session, unfinished, options.smaller
        )
    return _ShotScores(inputs, warnings)


def _evaluate(
    started: Started,
    loaded: LoadedModel,
    unfinished: Unfinished,
    options: RunOptions,
    shots: _ShotScores | None = None,
    training: dict[str, Any] | None = None,
) -> Run:
    """Answer, compute the metrics, and write items and, last, the record.

    shots: their scores, where other models had to give them. Of several processes, all answer, and the first does the
    rest.
    """
    prepared, log = started.prepared, started.log
    also = [ALWAYS_STORED, Needs(shots=started.shots is not None), *options.also]
    with log.stage("inference"), FinishedRows(unfinished.texts) as texts:
        answerer = Answerer(prepared, loaded, ShardFolder(unfinished.answers), texts)
        answers = answerer.answer(prepared.test, also=also, shots=shots and shots.inputs)
    of_folds = [warning for warning in (shots.warnings if shots else []) if warning not in log.warnings]
    if started.shots is not None:
        plan = started.shots._replace(warnings=[*started.shots.warnings, *of_folds])
        answers.report["scored_shots"] = plan.report(prepared)
    record = on_main(lambda: _conclude(started, loaded, unfinished, options, answers, training, of_folds))
    return Run(record, started.folder)


def _conclude(
    started: Started,
    loaded: LoadedModel,
    unfinished: Unfinished,
    options: RunOptions,
    answers: Answers,
    training: dict[str, Any] | None,
    of_folds: list[str],
) -> RunRecord:
    """What follows the answers. of_folds: warnings that only trainings on folds gave."""
    prepared, log = started.prepared, started.log
    config = prepared.config
    with log.stage("evaluation"):
        task, evaluation = task_of(config), config.evaluation
        results = compute_metrics(task.outcome(prepared, answers), evaluation.metrics, evaluation.metric_args)
        baselines = task.baselines(prepared)
    log.finish()
    write_items(started.folder, items_of(prepared, answers))
    if answers.support:
        write_support(started.folder, (one.as_item() for one in answers.support))
    resources: dict[str, Any] = {"peak_memory": started.peak.report()}
    if options.smaller > 1:
        resources |= {"out_of_memory": True, "batches_divided_by": options.smaller}
    record = RunRecord(
        run_id=started.run_id,
        slug=slug(config),
        status="completed",
        seed=config.seed,
        name=started.name,
        config=config.model_dump(mode="json"),
        results=results,
        baselines=baselines,
        counts=prepared.counts(),
        data=prepared.data_report(),
        model={**loaded.describe(), "adapter_fingerprint": started.adapter_fingerprint},
        inference=answers.report,
        training=training,
        timings=log.timings,
        environment=environment(),
        warnings=[*log.warnings, *of_folds],
        plan_id=started.plan_id,
        inputs=started.inputs,
        resources=resources,
        started_at=log.started_at,
        finished_at=now(),
    )
    if options.keep_adapter and training is not None:
        unfinished.publish(started.folder / ADAPTER_FOLDER, loaded)
    options.before_record()
    write_record(record, started.folder)
    unfinished.remove()
    return record
