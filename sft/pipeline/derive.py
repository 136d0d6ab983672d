"""Runs that differ only in what is done with a model's answers: the model answers once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sft.calibration.base import Needs
from sft.calibration.scored import MissingScores
from sft.config.identity import canonical
from sft.config.schema import ExperimentConfig
from sft.evaluation.metrics import compute_metrics
from sft.evaluation.stored_answers import stored_outcome
from sft.pipeline.canonical import canonical_config, plan_id
from sft.pipeline.conclude import needs_of
from sft.pipeline.recalibrate import recalibrate
from sft.pipeline.recording import RunLog, make_folder, now, recording
from sft.pipeline.scored_runs import ScoredRun
from sft.pipeline.slug import slug
from sft.records import ITEMS_FILE, RECORD_FILE, RunRecord, read_items, write_items, write_record


class AnswersKey(NamedTuple):
    """The same `answers` for configs whose models give the same answers: they differ in calibration, normalisation or
    metrics.

    beside: what else a calibration reads that only its own config says: a file, and the seed of random words; None for
    configs without such needs, which any `beside` serves.
    """

    answers: str
    beside: tuple[str | None, int | None] | None


def answers_key(config: ExperimentConfig) -> AnswersKey:
    config = canonical_config(config)
    inference = config.inference_or_default
    bare = inference.model_copy(update={"calibration": None, "score_normalization": "none"})
    value = canonical(config.model_copy(update={"inference": bare}), trains=config.has_shots)
    value.pop("evaluation")
    needs = needs_of(inference)
    file = next((one.unlabelled for one in needs if one.unlabelled is not None), None)
    words = config.seed_for("icl") if any(one.random_words for one in needs) else None
    beside = None if file is None and words is None else (file, words)
    return AnswersKey(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest(), beside)


def also_needed(configs: Sequence[ExperimentConfig]) -> list[Needs]:
    """What to score in one run, so that runs with these configs need no model."""
    scored = [config for config in configs if config.scores_answers]
    return [needs for config in scored for needs in needs_of(config.inference_or_default)]


def scoring_shots(config: ExperimentConfig) -> ExperimentConfig:
    """The same run, with scores of the shots stored beside its results."""
    inference = config.inference_or_default.model_copy(update={"score_shots": True})
    return config.model_copy(update={"inference": inference})


def derive(
    folder: Path, record: RunRecord, config: ExperimentConfig, results_path: Path, name: str | None, *, anew: bool
) -> tuple[RunRecord, Path] | None:
    """The record of `config`, from the answers of a finished run with the same `answers_key`.

    anew: whether a record that is there is replaced. None where the answers don't suffice, or can't be read.
    """
    config = canonical_config(config)
    if anew:
        run_id = ScoredRun(folder, record).run_id_of(config)
        (results_path / f"{slug(config)}-{run_id}" / RECORD_FILE).unlink(missing_ok=True)
    try:
        if record.inference.get("method") == "logits":
            run = ScoredRun(folder, record)
            made = recalibrate(run, run.stored(), config, results_path, name)
            return made.record, made.folder
        return _evaluate_again(folder, record, config, results_path, name)
    except (MissingScores, OSError):
        return None


def _evaluate_again(
    folder: Path, record: RunRecord, config: ExperimentConfig, results_path: Path, name: str | None
) -> tuple[RunRecord, Path]:
    """Other metrics of generated answers."""
    log, items = RunLog(), read_items(folder)
    with recording(log), log.stage("evaluation"):
        outcome = stored_outcome(items, record, folder / ITEMS_FILE)
        results = compute_metrics(outcome, config.evaluation.metrics, config.evaluation.metric_args)
    log.finish()
    run_id = ScoredRun(folder, record).run_id_of(config)
    new = replace(
        record,
        run_id=run_id,
        slug=slug(config),
        name=name,
        seed=config.seed,
        plan_id=plan_id(config),
        config=config.model_dump(mode="json"),
        results=results,
        inference={**record.inference, "answers_of": record.inference.get("answers_of") or record.run_id},
        timings=log.timings,
        warnings=list(dict.fromkeys([*record.warnings, *log.warnings])),
        started_at=log.started_at,
        finished_at=now(),
    )
    target = make_folder(results_path / new.folder_name, "--results-path")
    write_items(target, items)
    write_record(new, target)
    return new, target
