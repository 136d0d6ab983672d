"""Other calibrations on stored scores: new records from finished ones, without a model and without torch.

A new record is what a run with that calibration in its config would have left, with `inference.scores_of` beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from sft.calibration import calibration_registry
from sft.calibration.normalization import normalization_registry
from sft.calibration.scored import MissingScores
from sft.config.schema import ExperimentConfig, MethodConfig
from sft.errors import ConfigError, SftError
from sft.evaluation.metrics import compute_metrics
from sft.evaluation.stored_answers import concluded_outcome
from sft.label_scores import shown_probabilities
from sft.pipeline.canonical import plan_id
from sft.pipeline.checks import check_registered_names
from sft.pipeline.conclude import conclude, needs_of, scores_shots
from sft.pipeline.recording import RunLog, make_folder, now, recording
from sft.pipeline.scored_runs import ScoredRun, StoredScores
from sft.pipeline.slug import slug
from sft.records import RECORD_FILE, RunRecord, read_record, share_support, write_items, write_record

logger = logging.getLogger(__name__)

ALL, NONE = "all", "none"


class Choice(NamedTuple):
    """A calibration (None: no calibration) and a normalisation (None: each run's own). named: not one of `all`."""

    calibration: MethodConfig | None
    score_normalization: str | None
    named: bool

    def __str__(self) -> str:
        method = NONE if self.calibration is None else self.calibration.method
        return method if self.score_normalization is None else f"{method} with {self.score_normalization}"


class Recalibrated(NamedTuple):
    """A record with its folder. new: False where it was there already."""

    record: RunRecord
    folder: Path
    new: bool


class Impossible(NamedTuple):
    """One of `all` that can't be applied to a run, and why."""

    run: ScoredRun
    choice: Choice
    reason: str


def choices(methods: Sequence[str], args: dict[str, Any] | None, normalizations: Sequence[str]) -> list[Choice]:
    """Every method with every normalisation.

    methods: names in the registry, `none`, or `all` (every registered one with its default arguments). args: of the
    one method that is named. normalizations: names in the registry or `all`; none: each run keeps its own.
    """
    if args is not None and (len(methods) != 1 or methods[0] in (ALL, NONE)):
        raise SftError(f"--args are of one method, and --method is {', '.join(methods)}", "name one calibration")
    named = ALL not in methods and ALL not in normalizations
    names = dict.fromkeys(each for name in methods for each in (calibration_registry if name == ALL else [name]))
    calibrations = [None if name == NONE else MethodConfig(method=name, args=args or {}) for name in names]
    kinds: Sequence[str | None] = list(normalization_registry) if ALL in normalizations else normalizations
    return [Choice(calibration, kind, named) for calibration in calibrations for kind in kinds or [None]]


def recalibrate_runs(
    runs: Sequence[ScoredRun], chosen: Sequence[Choice], results_path: Path | None
) -> Iterator[Recalibrated | Impossible]:
    """Apply every choice to every run. results_path: where records go; None: beside each run.

    Raises `ConfigError` for unknown names and arguments, and `MissingScores` where a run lacks what a named method
    needs, before anything is written.
    """
    for run in runs:
        stored = run.stored()
        for choice in chosen:
            _check(run, choice, stored)
    for run in runs:
        stored = run.stored()
        target = make_folder(results_path or run.folder.parent, "--results-path")
        for choice in chosen:
            problems = [] if choice.named else check_registered_names(_config(run, choice))
            if problems:
                yield Impossible(run, choice, problems[0].message)
                continue
            try:
                yield recalibrate(run, stored, _config(run, choice), target)
            except SftError as error:
                if choice.named:
                    raise SftError(f"{choice} for {run.name}: {error.message}", error.hint) from error
                yield Impossible(run, choice, error.message)


def recalibrate(
    run: ScoredRun, stored: StoredScores, config: ExperimentConfig, results_path: Path, name: str | None = None
) -> Recalibrated:
    """Write the record that a run with `config` would have left, unless such a finished record is there.

    config: that of the run, with another calibration or other metrics. name: of the new run; by default the old one's.
    Raises `SftError` where the scores don't suffice.
    """
    identity = run.run_id_of(config)
    if identity == run.record.run_id:
        return Recalibrated(run.record, run.folder, new=False)
    folder = results_path / f"{slug(config)}-{identity}"
    if (folder / RECORD_FILE).exists():
        there = read_record(folder)
        if there.status == "completed":
            return Recalibrated(there, folder, new=False)
    log, labels = RunLog(), run.labels
    with recording(log), log.stage("inference"):
        concluded = conclude(config.inference_or_default, labels, stored.rows, stored.test, stored.support)
        for warning in concluded.warnings:
            logger.warning("%s", warning)
    with log.stage("evaluation"):
        outcome = concluded_outcome(stored.items, run.record, concluded.label_indices, concluded.probabilities)
        results = compute_metrics(outcome, config.evaluation.metrics, config.evaluation.metric_args)
    log.finish()
    record = replace(
        run.record,
        run_id=identity,
        slug=slug(config),
        name=name or run.record.name,
        seed=config.seed,
        plan_id=None if run.record.plan_id is None else plan_id(config),
        config=config.model_dump(mode="json"),
        results=results,
        inference={**run.record.inference, **concluded.report, "scores_of": run.origin},
        timings=log.timings,
        warnings=list(dict.fromkeys([*_warnings_left(run.record, config), *log.warnings])),
        started_at=log.started_at,
        finished_at=now(),
    )
    make_folder(folder, "--results-path")
    write_items(
        folder,
        (
            {
                **item,
                "prediction": (labels.names if labels else item["candidates"])[index],
                "probabilities": shown_probabilities(row[: len(item["scores"])]),
            }
            for item, index, row in zip(stored.items, concluded.label_indices, concluded.probabilities, strict=True)
        ),
    )
    share_support(run.folder, folder)
    write_record(record, folder)
    return Recalibrated(record, folder, new=True)


def _warnings_left(record: RunRecord, config: ExperimentConfig) -> list[str]:
    """Those of the origin's warnings that a run with `config` leaves too: not of another calibration, and of the shots'
    prompts only where it scores the shots.
    """
    of_calibration = (record.inference.get("calibration") or {}).get("warnings", [])
    of_shots = record.inference.get("scored_shots", {}).get("warnings", [])
    left = [warning for warning in record.warnings if warning not in [*of_calibration, *of_shots]]
    return [*left, *of_shots] if scores_shots(config.inference_or_default) else left


def _config(run: ScoredRun, choice: Choice) -> ExperimentConfig:
    return run.config_with(choice.calibration, choice.score_normalization)


def _check(run: ScoredRun, choice: Choice, stored: StoredScores) -> None:
    if not choice.named:
        return
    config = _config(run, choice)
    problems = check_registered_names(config)
    if problems:
        raise ConfigError(f"{choice} for {run.name}", problems)
    try:
        for needs in needs_of(config.inference_or_default):
            stored.support.select(needs, run.test_rows)
    except MissingScores as error:
        raise MissingScores(f"{choice} for {run.name}: {error.message}", error.hint) from None
