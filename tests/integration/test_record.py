"""The folder that a run leaves: a record that says everything, items that the results follow from."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from sft.config.schema import ExperimentConfig
from sft.pipeline.endpoints import Run, evaluate, run_experiment
from sft.records import read_items, read_record
from tests.fakes import LABELS, labelled_rows
from tests.tiny_runs import tiny_run

TRAIN = labelled_rows(6)
# The first test row is also a training row; the labels are not balanced.
TEST = [TRAIN[0], *labelled_rows(5, prefix="unseen ")[:-2]]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config = tiny_run(
        folder, train=TRAIN, test=TEST, inference={"icl_examples": 1}, training={"icl_examples": 1}, seed=21
    )
    return run_experiment(config, folder / "results", name="mine")


def test_the_folder_is_readable_and_holds_record_items_scores_and_log(experiment: Run) -> None:
    assert experiment.folder.name == f"{experiment.record.slug}-{experiment.record.run_id}"
    assert experiment.record.slug.endswith("llama-shots2-icl1-1-seed21")
    files = {"record.json", "items.jsonl", "support.jsonl", "run.log"}
    assert {path.name for path in experiment.folder.iterdir()} == files


def test_the_record_on_disk_is_the_one_returned_and_strict_json(experiment: Run) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = (experiment.folder / "record.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == json.loads(json.dumps(asdict(experiment.record)))
    assert read_record(experiment.folder).results == experiment.record.results


def test_it_holds_seed_config_and_what_the_run_ran_on(experiment: Run) -> None:
    record = experiment.record
    assert (record.seed, record.status, record.name, record.error) == (21, "completed", "mine", None)
    assert ExperimentConfig.model_validate(record.config).seed == 21
    assert record.environment["versions"]["torch"] == torch.__version__
    assert {"sft", "transformers", "trl", "peft"} <= set(record.environment["versions"])
    assert record.environment["cpu_count"] >= 1
    assert set(record.timings) == {"data", "model", "training", "saving", "inference", "evaluation", "total"}
    parts = sum(seconds for stage, seconds in record.timings.items() if stage != "total")
    assert 0 < parts <= record.timings["total"]
    assert record.started_at <= record.finished_at


def test_it_counts_rows_and_the_labels_that_were_used(experiment: Run) -> None:
    counts = experiment.record.counts
    assert counts["label_budget"] == {"negative": 2, "neutral": 2, "positive": 2}
    assert counts["pool_rows"] == 6
    assert counts["test_rows"] == counts["test_rows_available"] == len(TEST)
    assert counts["train_rows"] == len(TRAIN) - 1, "the duplicate isn't dropped"
    assert experiment.record.data["train_test_duplicates"] == 1
    assert experiment.record.data["duplicates_dropped"] is True


def test_no_test_text_is_in_the_pool_and_no_row_is_in_it_twice(experiment: Run) -> None:
    rows = experiment.record.data["pool_row_numbers"]
    assert len(set(rows)) == 6
    assert not {TRAIN[row]["text"] for row in rows} & {row["text"] for row in TEST}
    assert Counter(TRAIN[row]["label"] for row in rows) == dict.fromkeys(LABELS, 2)


def test_training_and_model_are_described(experiment: Run) -> None:
    training = experiment.record.training
    assert training is not None
    assert training["sequences"] == 6
    assert training["steps"] == 4
    assert math.isfinite(training["loss"])
    assert training["in_context_examples"] == dict.fromkeys(LABELS, 1)
    assert training["truncation"]["prompts"] == 6
    assert experiment.record.model["architecture"] == "LlamaForCausalLM"
    assert experiment.record.model["adapter"] is None
    assert experiment.record.model["adapter_fingerprint"] is None
    assert experiment.record.inference["label_end"] == "none"
    assert experiment.record.inference["in_context_examples"] == dict.fromkeys(LABELS, 1)


def test_the_items_are_the_test_rows_in_order(experiment: Run) -> None:
    items = read_items(experiment.folder)
    assert [item["inputs"]["text"] for item in items] == [row["text"] for row in TEST]
    assert [item["reference"] for item in items] == [row["label"] for row in TEST]
    assert [item["row"] for item in items] == experiment.record.data["test_row_numbers"] == list(range(len(TEST)))


def test_the_results_follow_from_the_items(experiment: Run) -> None:
    items = read_items(experiment.folder)
    scores = np.array([item["scores"] for item in items])
    probabilities = torch.tensor(scores).softmax(dim=1).numpy()
    np.testing.assert_allclose([item["probabilities"] for item in items], probabilities, atol=2e-6)
    assert [item["prediction"] for item in items] == [LABELS[i] for i in scores.argmax(axis=1)]
    references = [item["reference"] for item in items]
    predictions = [item["prediction"] for item in items]
    results = experiment.record.results
    assert results["accuracy"] == pytest.approx(accuracy_score(references, predictions))
    macro = f1_score(references, predictions, labels=list(LABELS), average="macro", zero_division=0)
    assert results["macro_f1"] == pytest.approx(macro)
    assert results["nll"] == pytest.approx(log_loss(references, probabilities, labels=list(LABELS)), abs=1e-6)


def test_the_baselines_saw_the_same_shots(experiment: Run) -> None:
    baselines = experiment.record.baselines
    assert set(baselines) == {"majority", "tfidf_logistic_regression"}
    assert baselines["majority"]["accuracy"] == pytest.approx(1 / 3)


def test_the_test_rows_are_the_same_over_seeds_and_the_shots_are_not(tmp_path: Path) -> None:
    def run(seed: int) -> dict[str, Any]:
        config = tiny_run(tmp_path, train=TRAIN, test=TEST, dataset={"max_n_test": 5, "shots": 2}, seed=seed)
        return evaluate(config, tmp_path / "results").record.data

    first, second, third = run(1), run(2), run(3)
    assert first["test_row_numbers"] == second["test_row_numbers"] == third["test_row_numbers"]
    assert len(first["test_row_numbers"]) == 5
    assert first["fingerprint"] == second["fingerprint"]
    assert len({tuple(data["pool_row_numbers"]) for data in (first, second, third)}) > 1


def test_other_data_is_another_fingerprint_and_another_run(tmp_path: Path) -> None:
    first = evaluate(tiny_run(tmp_path), tmp_path / "results").record
    changed = tiny_run(tmp_path, test=labelled_rows(2, prefix="other "))
    second = evaluate(changed, tmp_path / "results").record
    assert first.data["fingerprint"] != second.data["fingerprint"]
    assert first.run_id != second.run_id


def test_what_was_cut_is_in_the_record_and_warned_about_once(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, inference={"icl_examples": 1, "max_seq_length": 60}, trainer_args={"max_length": 40})
    record = run_experiment(config, tmp_path / "results").record
    assert record.training is not None
    inference, training = record.inference["truncation"], record.training["truncation"]
    assert inference["prompts_without_some_examples"] == inference["prompts"] == 6
    assert training["prompts_with_shortened_input"] > 0
    assert len([w for w in record.warnings if w.startswith("inference: of 6 prompts")]) == 1
    assert len([w for w in record.warnings if w.startswith("training: of 6 prompts")]) == 1
    log = (tmp_path / "results" / record.folder_name / "run.log").read_text(encoding="utf-8")
    assert all(warning in log for warning in record.warnings)
