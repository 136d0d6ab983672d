"""Multiple choice from config to table: a tiny model, rows with two to four candidates of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft.api import aggregate_results, calibrate_results
from sft.config.identity import seeds_that_matter
from sft.errors import ConfigError, SftError
from sft.label_scores import log_softmax
from sft.pipeline.checks import check_registered_names
from sft.pipeline.endpoints import Run, evaluate, run_experiment
from sft.pipeline.predict import predict
from sft.prompting.build import LabelPrompt
from sft.records import read_items, read_support
from sft.reporting.compare import compare_runs
from tests.fakes import make_config, write_jsonl
from tests.label_scoring import brute_force
from tests.scorer_spy import spy_on_scoring
from tests.tiny_runs import tiny_run

TRAIN = [
    {"q": f"colour {i}?", "A": f"red {i}", "B": "blue", "C": "" if i % 2 else "green", "right": "AB"[i % 2]}
    for i in range(6)
]
TEST = [
    {"q": "colour of snow?", "A": "white", "B": "black as night", "C": "", "right": "A"},
    {"q": "colour of grass?", "A": "red", "B": "green", "C": "greenish", "right": "B"},
    {"q": "colour of é?", "A": "éé", "B": "zz", "C": "e", "right": "C"},
    {"q": "colour of coal?", "A": "", "B": "black", "C": "white", "right": "B"},
]


def config_of(folder: Path, **sections: Any) -> Any:
    prompting = {
        "input_columns": ["q"],
        "output_column": "right",
        "candidate_columns": ["A", "B", "C"],
        **sections.pop("prompting", {}),
    }
    dataset = {"task_type": "multiple_choice", "shots": 4, **sections.pop("dataset", {})}
    return tiny_run(folder, train=TRAIN, test=TEST, dataset=dataset, prompting=prompting, **sections)


@pytest.fixture(scope="module")
def zero_shot(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("zero_shot")
    return evaluate(config_of(folder, dataset={"shots": 0}), folder / "results")


def text_scores(model_folder: Path, prompt: str, answer: str, *, ends: bool = False) -> float:
    """The slow twin from texts alone: the model's bytes are tokens, and nothing is shared. ends: score EOS too."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype="float32").eval()
    prompt_ids, ids = tokenizer(prompt)["input_ids"], tokenizer(answer)["input_ids"]
    end = tokenizer.eos_token_id if ends else None
    return float(brute_force(model, [LabelPrompt(prompt_ids, [ids])], end)[0, 0])


def test_every_candidate_is_scored_after_its_rows_prompt_as_if_alone(zero_shot: Run) -> None:
    model = Path(zero_shot.record.config["model"]["name"])
    items = read_items(zero_shot.folder)
    for item, row in zip(items, TEST, strict=True):
        assert item["candidates"] == [row[name] for name in "ABC" if row[name]]
        ends = "green" in item["candidates"]  # which begins "greenish": only then is the end scored
        prompt = f"Q: {row['q']}\nRight:"
        alone = [text_scores(model, prompt, f" {text}", ends=ends) for text in item["candidates"]]
        assert item["scores"] == pytest.approx(alone, abs=1e-4)
        assert item["token_counts"] == [len(f" {text}".encode()) for text in item["candidates"]]
        expected = np.exp(log_softmax(np.array([item["scores"]])))[0]
        assert item["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert item["prediction"] == item["candidates"][int(expected.argmax())]
        assert item["reference"] == row[row["right"]] == item["candidates"][item["reference_index"]]
    assert zero_shot.record.inference["label_end"] == "eot where a candidate begins another"
    assert zero_shot.record.inference["candidates"] == {"fewest": 2, "most": 3}


def test_metrics_and_chance_follow_from_the_items(zero_shot: Run) -> None:
    items, results = read_items(zero_shot.folder), zero_shot.record.results
    right = [item["prediction"] == item["reference"] for item in items]
    of_reference = [log_softmax(np.array([item["scores"]]))[0, item["reference_index"]] for item in items]
    distances = [
        sum((p - (i == item["reference_index"])) ** 2 for i, p in enumerate(item["probabilities"])) for item in items
    ]
    assert results["accuracy"] == sum(right) / 4
    assert results["nll"] == pytest.approx(-float(np.mean(of_reference)))
    assert results["brier"] == pytest.approx(float(np.mean(distances)), abs=1e-4)
    assert 0 <= results["ece"] <= 1
    assert set(zero_shot.record.baselines) == {"random_guess"}
    assert zero_shot.record.baselines["random_guess"]["accuracy"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert zero_shot.record.counts["label_budget"] == 0
    assert seeds_that_matter(make_config(**zero_shot.record.config), trains=False) == frozenset()


def test_the_premise_of_every_row_is_stored_and_nothing_that_shared_labels_need(zero_shot: Run) -> None:
    support = read_support(zero_shot.folder)
    assert [(one["kind"], one["test_row"]) for one in support] == [("premise", i) for i in range(4)]
    model = Path(zero_shot.record.config["model"]["name"])
    alone = [text_scores(model, "Q: \nRight:", f" {text}") for text in ("white", "black as night")]
    assert support[0]["scores"] == pytest.approx(alone, abs=1e-4)
    assert support[0]["candidates"] == ["white", "black as night"]


NORMALIZED = {
    "tokens": lambda item, premise: np.array(item["scores"]) / item["token_counts"],
    "characters": lambda item, premise: np.array(item["scores"]) / [len(text) for text in item["candidates"]],
    "bytes": lambda item, premise: np.array(item["scores"]) / [len(text.encode()) for text in item["candidates"]],
    "pmi": lambda item, premise: np.array(item["scores"]) - premise["scores"],
}


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalisations_are_those_of_each_rows_own_candidates(name: str, zero_shot: Run, tmp_path: Path) -> None:
    """From stored scores without a model; and a run with the normalisation in its config gives the same."""
    done = calibrate_results([zero_shot.folder], ["none"], normalizations=[name], results_path=tmp_path)
    items, premises = read_items(done.folders[0]), read_support(zero_shot.folder)
    for item, premise in zip(items, premises, strict=True):
        normalized = NORMALIZED[name](item, premise)
        expected = np.exp(normalized) / np.exp(normalized).sum()
        assert item["probabilities"] == pytest.approx(expected.tolist(), abs=1e-5)
        assert item["prediction"] == item["candidates"][int(expected.argmax())]
    record = done.records[0]
    assert record.results["accuracy"] == np.mean([item["prediction"] == item["reference"] for item in items])
    if name == "pmi":
        config = make_config(**{**zero_shot.record.config, "inference": {"score_normalization": "pmi"}})
        again = evaluate(config, tmp_path / "again")
        assert again.record.run_id == record.run_id
        for metric in ("accuracy", "nll", "brier", "ece"):
            assert again.record.results[metric] == pytest.approx(record.results[metric])


def test_of_all_calibrations_none_that_needs_shared_labels_is_applied(zero_shot: Run, tmp_path: Path) -> None:
    done = calibrate_results([zero_shot.folder], ["all"], normalizations=["all"], results_path=tmp_path)
    assert done.records == []
    for method in ("contextual", "domain", "batch", "batch_adjustable"):
        assert any(note.startswith(f"{method} with none") and "all rows share" in note for note in done.notes)
    assert any("temperature with none" in note and "no scores of the shots" in note for note in done.notes)
    with pytest.raises(ConfigError, match="'batch' estimates a bias of labels that all rows share"):
        calibrate_results([zero_shot.folder], ["batch"], results_path=tmp_path)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_training_learns_the_right_candidate(chat: bool, tmp_path: Path) -> None:
    """The shots are all rows, and asked again: the model learns them by heart. They are counted in total."""
    config = config_of(
        tmp_path,
        chat=chat,
        dataset={"shots": 6, "deduplicate": False},
        trainer_args={"max_steps": 100, "learning_rate": 0.01},
    )
    write_jsonl(tmp_path / "data/test.jsonl", TRAIN)
    before = evaluate(config, tmp_path / "before").record
    run = run_experiment(config, tmp_path / "results")
    assert run.record.counts["label_budget"] == 6
    assert before.results["accuracy"] < run.record.results["accuracy"]
    assert before.results["nll"] > 10 * run.record.results["nll"]
    assert run.record.inference["label_end"] == ("eot" if chat else "eot where a candidate begins another")


def test_in_context_examples_show_the_right_candidate_and_inputs_may_show_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy_on_scoring(monkeypatch)
    prompting = {"input_columns": ["q", "A", "B"]}
    config = config_of(tmp_path, dataset={"shots": 0}, inference={"icl_examples": 1}, prompting=prompting)
    run = evaluate(config, tmp_path / "results")
    tokenizer = AutoTokenizer.from_pretrained(run.record.config["model"]["name"])
    text = tokenizer.decode(calls[0][0].prompt)
    (shown,) = run.record.data["pool_row_numbers"]
    row = TRAIN[shown]
    right = row[str(row["right"])]
    assert text == (
        f"Q: {row['q']}\nA: {row['A']}\nB: {row['B']}\nRight: {right}\n\n"
        "Q: colour of snow?\nA: white\nB: black as night\nRight:"
    )


def test_a_temperature_is_fitted_on_shots_scored_without_their_labels(tmp_path: Path) -> None:
    inference = {"icl_examples": 1, "calibration": {"method": "temperature"}}
    run = evaluate(config_of(tmp_path, inference=inference), tmp_path / "results")
    shots = [one for one in read_support(run.folder) if one["kind"] == "shot"]
    assert [one["row"] for one in shots] == run.record.data["pool_row_numbers"]
    assert {len(one["scores"]) for one in shots} == {2, 3}
    assert all(one["reference"] in one["candidates"] for one in shots)
    calibration = run.record.inference["calibration"]
    assert calibration["labelled_inputs"] == 4
    for item in read_items(run.folder):
        scaled = np.array(item["scores"]) / calibration["fitted"]["temperature"]
        assert item["probabilities"] == pytest.approx((np.exp(scaled) / np.exp(scaled).sum()).tolist(), abs=1e-5)


def test_arguments_are_selected_and_shots_scored_in_folds(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        inference={"calibration": {"method": "temperature"}, "folds": 2},
        training={"select": {"grid": {"num_train_epochs": [1]}, "folds": 2, "metric": "accuracy"}},
        trainer_args={"max_steps": -1},
    )
    record = run_experiment(config, tmp_path / "results").record
    assert record.inference["scored_shots"]["method"] == "folds"
    assert record.training is not None
    points = record.training["selection"]["points"]
    assert all(0 <= score <= 1 for point in points for score in point["fold_scores"])


def test_predictions_come_with_candidates_and_probabilities_of_rows_without_answers(tmp_path: Path) -> None:
    config = config_of(tmp_path, dataset={"shots": 0})
    rows = [{name: row[name] for name in "qABC"} for row in TEST]
    new = write_jsonl(tmp_path / "new.jsonl", rows)
    frame = pd.read_csv(predict(config, tmp_path / "out.tsv", input_path=str(new)), sep="\t", keep_default_na=False)
    items = read_items(evaluate(config, tmp_path / "results").folder)
    assert frame["predictions"].tolist() == [item["prediction"] for item in items]
    assert [json.loads(cell) for cell in frame["candidates"]] == [item["candidates"] for item in items]
    for cell, item in zip(frame["probabilities"], items, strict=True):
        assert json.loads(cell) == pytest.approx(item["probabilities"], abs=1e-5)


def test_runs_are_tabled_and_compared(zero_shot: Run, tmp_path: Path) -> None:
    done = calibrate_results([zero_shot.folder], ["none"], normalizations=["characters"], results_path=tmp_path)
    table = aggregate_results([zero_shot.folder.parent, tmp_path], out=tmp_path / "table").table
    assert [row.metrics["accuracy"].interval_over for row in table.configurations] == ["test rows"] * 2
    assert "random guess" in (tmp_path / "table/aggregated_results.md").read_text()
    assert len({row.test_set for row in table.configurations}) == 1
    found = compare_runs(zero_shot.folder, done.folders[0])
    assert found.right == "accuracy"
    assert found.classes == []
    by_name = {one.name: one for one in found.metrics}
    assert all(by_name[name].p is not None for name in ("accuracy", "nll", "brier"))
    assert by_name["ece"].p is None
    right = [
        [item["prediction"] == item["reference"] for item in read_items(folder)]
        for folder in (zero_shot.folder, done.folders[0])
    ]
    only = [sum(a and not b for a, b in zip(*each, strict=True)) for each in (right, right[::-1])]
    assert [found.mcnemar.only_first, found.mcnemar.only_second] == only


def test_other_candidates_are_other_test_rows(tmp_path: Path) -> None:
    """With the same inputs and right answers, under the same path."""
    config = config_of(tmp_path, dataset={"shots": 0})
    first = evaluate(config, tmp_path / "first")
    write_jsonl(tmp_path / "data/test.jsonl", [{**TEST[0], "B": "grey"}, *TEST[1:]])
    other = evaluate(config, tmp_path / "other")
    with pytest.raises(SftError, match="1 of 4 test rows have other references"):
        compare_runs(first.folder, other.folder)
    table = aggregate_results([first.folder, other.folder], out=tmp_path / "table").table
    assert len({row.test_set for row in table.configurations}) == 2


CHOICE: dict[str, Any] = {"dataset": {"task_type": "multiple_choice"}, "prompting": {"candidate_columns": ["A", "B"]}}


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"prompting": {}}, "prompting.candidate_columns: is needed for multiple_choice"),
        ({"dataset": {}}, "prompting.candidate_columns: is for multiple_choice"),
        ({"prompting": {"candidate_columns": ["A", "A"]}}, "prompting.candidate_columns: names a column twice"),
        ({"prompting": {"candidate_columns": []}}, "prompting.candidate_columns: "),
        ({"inference": {"method": "generate"}}, "inference.method: 'generate' is for classification"),
        ({"dataset": {"task_type": "multiple_choice", "labels": ["A"]}}, "dataset.labels: is for classification"),
        (
            {"prompting": {"candidate_columns": ["A", "B"], "max_output_length": 5}},
            "prompting.max_output_length: has no effect on candidates",
        ),
        (
            {"prompting": {"candidate_columns": ["label", "B"], "input_columns": ["text", "label"]}},
            "prompting.input_columns: holds the output column 'label'",
        ),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        make_config(**{**CHOICE, **sections})


@pytest.mark.parametrize(
    ("inference", "key", "what"),
    [
        ({"calibration": {"method": "contextual"}}, "inference.calibration", "'contextual' estimates a bias of labels"),
        ({"calibration": {"method": "batch"}}, "inference.calibration", "'batch' estimates a bias of labels"),
        ({"score_normalization": "calibrated_tokens"}, "inference.score_normalization", "'calibrated_tokens' compares"),
        (
            {"calibration": {"method": "temperature"}, "score_normalization": "pmi"},
            "inference.calibration",
            "'temperature' learns from scores of the shots",
        ),
    ],
)
def test_methods_for_labels_that_rows_share_are_refused(inference: dict[str, Any], key: str, what: str) -> None:
    (found,) = check_registered_names(make_config(**CHOICE, inference=inference))
    assert found.key == key
    assert found.message.startswith(what)
    assert found.fix


def test_the_config_of_the_documentation_is_valid(repository: Path) -> None:
    text = (repository / "docs/multiple-choice.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", text, flags=re.S)
    config = make_config(**json.loads(block))
    assert config.dataset.task_type == "multiple_choice"
    assert check_registered_names(config) == []
