"""The endpoints: train, predict, evaluate, run_experiment."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.data.load import load_unlabelled
from sft.environment import environment
from sft.errors import ModelError, SftError, TrainingError
from sft.evaluation.baselines import classification_baselines
from sft.evaluation.metrics import compute_metrics
from sft.models.load import LoadedModel
from sft.models.source import ADAPTER_CONFIG, MODEL_CONFIG, ModelSource, find_model
from sft.pipeline.answer import Answerer
from sft.pipeline.answers import Answers
from sft.pipeline.model import load, train_on_pool
from sft.pipeline.outcome import items_of, outcome_of
from sft.pipeline.prepare import Prepared, prepare
from sft.pipeline.recording import RunLog, make_folder, now, recording
from sft.pipeline.shots import ShotPlan, plan_shots, score_in_folds
from sft.pipeline.slug import slug
from sft.pipeline.support import ALWAYS_STORED
from sft.progress import hush_libraries
from sft.records import RunRecord, write_items, write_record, write_support
from sft.training.arguments import trainer_config
from sft.training.output import claim_output_dir, last_checkpoint, save_trained
from sft.training.train import TrainingSummary

logger = logging.getLogger(__name__)


class Trained(NamedTuple):
    """What `train` leaves behind."""

    folder: Path
    run_id: str
    summary: TrainingSummary


class Run(NamedTuple):
    """A finished run: its record, and the folder that holds it."""

    record: RunRecord
    folder: Path


def train(config: ExperimentConfig, *, overwrite: bool = False, resume: bool = False) -> Trained:
    """Train an adapter (or the whole model) on the shots and save it, with tokenizer, chat template and config, into
    `output_dir`.

    resume: go on from the last checkpoint in `output_dir`. overwrite: write into a folder that something else filled.
    """
    folder = _output_dir(config)
    if folder is None:
        raise SftError(
            "training.trainer_args.output_dir is missing: `train` needs a folder to write to",
            "set it, e.g. -o training.trainer_args.output_dir=outputs/my-adapter",
        )
    hush_libraries()
    source = _bare_model(find_model(config.model))
    if not config.has_shots:
        raise TrainingError("there is no row to train on: dataset.shots is 0", "raise dataset.shots")
    prepared = prepare(config)
    run_id = prepared.run_id(trains=True, checkpoint_fingerprint=source.fingerprint())
    claim_output_dir(folder, run_id, config.model_dump(mode="json"), overwrite=overwrite)
    args = trainer_config(config, folder, keep_checkpoints=True)
    checkpoint = last_checkpoint(folder) if resume else None
    if resume and checkpoint is None:
        logger.warning("--resume: there is no checkpoint in %s; training starts from the beginning", folder)
    loaded = load(config, source)
    summary = train_on_pool(prepared, loaded, args, resume_from=checkpoint).summary
    save_trained(loaded, folder)
    return Trained(folder, run_id, summary)


def evaluate(config: ExperimentConfig, results_path: str | Path, *, checkpoint: str | None = None) -> Run:
    """Answer the test rows, compute the metrics, and write the run's folder under `results_path`."""
    started = start(config, results_path, trains=False, checkpoint=checkpoint)
    with recording(started.log, started.folder):
        _warn_of_unused_adapter(config, started.source)
        return _evaluate(started, _load_timed(started))


class Started(NamedTuple):
    """A run whose data is loaded and whose folder exists; no model yet.

    adapter_fingerprint: of the trained adapter, or fully trained weights, that are evaluated. shots: how they will be
    scored, if they will.
    """

    prepared: Prepared
    source: ModelSource
    adapter_fingerprint: str | None
    shots: ShotPlan | None
    run_id: str
    folder: Path
    log: RunLog
    name: str | None


def run_experiment(config: ExperimentConfig, results_path: str | Path, *, name: str | None = None) -> Run:
    """Train on the shots (none: no adapter is made) and evaluate, with one model load (and one more per fold).

    The adapter is kept where `training.trainer_args.output_dir` says, or not at all.
    """
    return complete(start(config, results_path, trains=config.has_shots, name=name))


def start(
    config: ExperimentConfig,
    results_path: str | Path,
    *,
    trains: bool,
    name: str | None = None,
    checkpoint: str | None = None,
) -> Started:
    """Find the model, load the data, and make the run's folder: everything that fails early."""
    log = RunLog()
    results_path = make_folder(Path(results_path), "--results-path")
    hush_libraries()
    with recording(log):
        source = find_model(config.model, checkpoint)
        if trains:
            _bare_model(source)
        with log.stage("data"):
            prepared = prepare(config)
        prepared.check_calibration(len(prepared.test))
        shots = plan_shots(prepared, source, trains=trains)
    fingerprint = source.fingerprint()
    run_id = prepared.run_id(trains=trains, checkpoint_fingerprint=fingerprint)
    folder = make_folder(results_path / f"{slug(config)}-{run_id}", "--results-path")
    return Started(prepared, source, fingerprint, shots, run_id, folder, log, name)


def complete(started: Started) -> Run:
    """Train where there are shots, then evaluate."""
    config = started.prepared.config
    with recording(started.log, started.folder):
        if not config.has_shots:
            return _evaluate(started, _load_timed(started))
        output_dir = _output_dir(config)
        if output_dir is not None:
            claim_output_dir(output_dir, started.run_id, config.model_dump(mode="json"), overwrite=False)
        with tempfile.TemporaryDirectory(prefix="sft-") as scratch:
            args = trainer_config(config, output_dir or Path(scratch), keep_checkpoints=output_dir is not None)
            # Before the run's own model is in memory; training that one begins with seeding everything anew.
            shots = _scores_of_shots(started)
            loaded = _load_timed(started)
            with started.log.stage("training"):
                trained = train_on_pool(started.prepared, loaded, args)
        if output_dir is not None:
            save_trained(loaded, output_dir)
        return _evaluate(started, loaded, shots, training={**dataclasses.asdict(trained.summary), **trained.prompts})


class _ShotScores(NamedTuple):
    """What other models said of the shots, and what there was to warn of."""

    inputs: list[ScoredInput]
    warnings: list[str]


def _scores_of_shots(started: Started) -> _ShotScores | None:
    if started.shots is None:
        return None
    with started.log.stage("folds"), started.log.apart() as warnings:
        inputs = score_in_folds(started.prepared, started.source, started.shots.folds)
    return _ShotScores(inputs, warnings)


def _evaluate(
    started: Started,
    loaded: LoadedModel,
    shots: _ShotScores | None = None,
    training: dict[str, Any] | None = None,
) -> Run:
    """Answer, compute the metrics, and write items and, last, the record.

    shots: their scores, where other models had to give them.
    """
    prepared, log = started.prepared, started.log
    config = prepared.config
    also = [ALWAYS_STORED, Needs(shots=started.shots is not None)]
    with log.stage("inference"):
        answers = Answerer(prepared, loaded).answer(prepared.test, also=also, shots=shots and shots.inputs)
    of_folds = [warning for warning in (shots.warnings if shots else []) if warning not in log.warnings]
    if started.shots is not None:
        plan = started.shots._replace(warnings=[*started.shots.warnings, *of_folds])
        answers.report["scored_shots"] = plan.report(prepared)
    with log.stage("evaluation"):
        evaluation = config.evaluation
        results = compute_metrics(outcome_of(prepared, answers), evaluation.metrics, evaluation.metric_args)
        baselines = _baselines(prepared)
    log.finish()
    write_items(started.folder, items_of(prepared, answers))
    if answers.support:
        write_support(started.folder, (one.as_item() for one in answers.support))
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
        started_at=log.started_at,
        finished_at=now(),
    )
    write_record(record, started.folder)
    return Run(record, started.folder)


def _baselines(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """What the same labels give without a language model."""
    if prepared.labels is None:
        return {}
    return classification_baselines(
        ["\n".join(example.inputs.values()) for example in prepared.pool],
        [example.label for example in prepared.pool if example.label is not None],
        ["\n".join(example.inputs.values()) for example in prepared.test],
        [example.label for example in prepared.test if example.label is not None],
        prepared.labels.names,
        prepared.config.seed_for("train"),
    )


def _bare_model(source: ModelSource) -> ModelSource:
    """The same source. Raises `ModelError` where it has an adapter, on which no other is trained."""
    if source.adapter is not None:
        raise ModelError(
            f"model.name is {str(source.adapter)!r}, a trained adapter: training starts from a model without one",
            f"set model.name to its base {source.base!r}; or set dataset.shots to 0 to use the adapter as it is",
        )
    return source


def _load_timed(started: Started) -> LoadedModel:
    with started.log.stage("model"):
        return load(started.prepared.config, started.source)


def _warn_of_unused_adapter(config: ExperimentConfig, source: ModelSource) -> None:
    trained = _output_dir(config)
    if trained is None or not any((trained / name).exists() for name in (ADAPTER_CONFIG, MODEL_CONFIG)):
        return
    if source.trained is None or not source.trained.samefile(trained):
        what = "a trained adapter that is" if (trained / ADAPTER_CONFIG).exists() else "trained weights that are"
        logger.warning("%s holds %s not used here; to use it, pass --checkpoint %s", trained, what, trained)


def _output_dir(config: ExperimentConfig) -> Path | None:
    folder = config.training.trainer_args.get("output_dir") if config.training else None
    return None if folder is None else Path(folder).expanduser()


class Unanswered(NamedTuple):
    """Rows to predict: as prompts see them, and with all their columns. No model is loaded yet."""

    prepared: Prepared
    source: ModelSource
    examples: list[Example]
    rows: Any


def rows_to_predict(config: ExperimentConfig, checkpoint: str | None, input_path: str | None) -> Unanswered:
    """The test rows, or those of a file."""
    hush_libraries()
    source = find_model(config.model, checkpoint)
    _warn_of_unused_adapter(config, source)
    prepared = prepare(config)
    plan_shots(prepared, source, trains=False)
    if input_path is None:
        examples = prepared.test
        rows = prepared.data.test_rows.select([example.row for example in examples])
    else:
        examples, rows = load_unlabelled(input_path, config)
    prepared.check_calibration(len(examples))
    return Unanswered(prepared, source, examples, rows)


def answer_rows(unanswered: Unanswered) -> Answers:
    prepared = unanswered.prepared
    return Answerer(prepared, load(prepared.config, unanswered.source)).answer(unanswered.examples)
