"""Objectives over labels in whole runs: what is trained on are the scores that inference computes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sft.errors import ConfigError
from sft.models.source import find_model
from sft.pipeline.answer import Answerer
from sft.pipeline.endpoints import run_experiment
from sft.pipeline.label_training import label_training
from sft.pipeline.model import load
from sft.pipeline.prepare import prepare
from sft.training.label_loss import LabelLoss
from tests.fakes import labelled_rows
from tests.tiny_runs import tiny_run

# One verbalisation begins with another, and they differ in length.
LABELS = {"negative": " bad", "neutral": " bad or good", "positive": " good"}


def config_of(tmp_path: Path, objective: Any = "label_cross_entropy", **sections: Any) -> Any:
    training = {"objective": objective, **sections.pop("training", {})}
    dataset = {"labels": LABELS, **sections.pop("dataset", {})}
    return tiny_run(tmp_path, train=labelled_rows(4), dataset=dataset, training=training, **sections)


@pytest.mark.parametrize("label_end", ["auto", "eot", "none"])
@pytest.mark.parametrize(("chat", "shown"), [(False, 0), (False, 1), (True, 1)])
def test_the_scores_that_are_trained_are_those_of_inference(
    chat: bool, shown: int, label_end: str, tmp_path: Path
) -> None:
    config = config_of(
        tmp_path, chat=chat, training={"icl_examples": shown}, inference={"label_end": label_end, "icl_examples": shown}
    )
    prepared = prepare(config)
    source = find_model(config.model, None)
    loaded = load(config, source)
    answerer = Answerer(prepared, loaded)
    builder, examples = answerer.builder(None), prepared.training_examples()
    training = label_training(prepared, answerer.format, examples, builder)
    assert training is not None
    loss = LabelLoss(training, loaded)
    prompts = [builder.label_prompt(example, examples.for_query(example)) for example in prepared.pool]
    scores = answerer.label_scoring(builder).score(prompts, []).rows.log_probs
    right = [example.label for example in prepared.pool]
    expected = [math.log(np.exp(row).sum()) - row[label] for row, label in zip(scores, right, strict=True)]
    with loss.in_use(), torch.no_grad():
        for i, value in enumerate(expected):
            assert float(loss.sum(loaded.model, loss.collate([{"row": i}]))) == pytest.approx(value, abs=1e-4)
        everything = loss.collate([{"row": i} for i in range(len(right))])
        assert float(loss.sum(loaded.model, everything)) == pytest.approx(sum(expected), abs=1e-3)


@pytest.mark.parametrize("objective", ["label_cross_entropy", {"method": "tfew", "args": {"unlikelihood": 0.5}}])
@pytest.mark.parametrize("chat", [False, True])
def test_a_run_learns_by_its_objective_and_its_record_says_so(objective: Any, chat: bool, tmp_path: Path) -> None:
    arguments = {"max_steps": 30, "logging_steps": 1, "per_device_train_batch_size": 4}
    config = config_of(tmp_path, objective, chat=chat, dataset={"shots": 4}, trainer_args=arguments)
    record = run_experiment(config, tmp_path / "results").record
    assert record.training is not None
    said = record.training["objective"]
    method, args = (objective, {}) if isinstance(objective, str) else (objective["method"], objective["args"])
    assert (said["method"], said["args"], said["labels_read_by"]) == (method, args, "tree")
    losses = [entry["loss"] for entry in record.training["log"] if "loss" in entry]
    assert len(losses) == 30
    assert sum(losses[-5:]) < sum(losses[:5])


def test_shots_are_scored_by_adapters_that_were_trained_by_it_too(tmp_path: Path) -> None:
    config = config_of(tmp_path, inference={"calibration": {"method": "temperature"}, "folds": 2})
    record = run_experiment(config, tmp_path / "results").record
    assert record.inference["calibration"]["method"] == "temperature"
    assert len([w for w in record.warnings if "objective" in w]) == 0


def test_values_may_be_selected_for_it(tmp_path: Path) -> None:
    select = {"grid": {"learning_rate": [1e-3, 1e-2]}, "folds": 2}
    training = {"select": select, "trainer_args": {"max_steps": 2}}
    record = run_experiment(config_of(tmp_path, training=training), tmp_path / "results").record
    assert record.training is not None
    assert record.training["selection"]["chosen"]["learning_rate"] in (1e-3, 1e-2)
    assert record.training["objective"]["method"] == "label_cross_entropy"


def test_a_run_without_an_objective_says_that_it_predicts_tokens(tmp_path: Path) -> None:
    record = run_experiment(tiny_run(tmp_path), tmp_path / "results").record
    assert record.training is not None
    assert record.training["objective"] == {"method": "next_token"}


def test_a_task_without_labels_is_refused_where_nobody_checked_the_config(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, dataset={"task_type": "generation"}, training={"objective": "tfew"})
    with pytest.raises(ConfigError, match=r"training\.objective: 'tfew' compares the labels of a classification"):
        run_experiment(config, tmp_path / "results")
