"""Runs in which rows have any number of labels, answered by a yes or no about each."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sft.api import aggregate_results
from sft.errors import ConfigError, SftError
from sft.evaluation.stored_answers import stored_outcome
from sft.evaluation.thresholds import best_thresholds, sigmoid
from sft.pipeline import folds as pipeline_folds
from sft.pipeline.derive import answers_key, derive
from sft.pipeline.endpoints import Run, evaluate, run_experiment, train
from sft.pipeline.predict import predict
from sft.pipeline.scored_runs import find_scored_runs
from sft.prompting.build import LabelPrompt
from sft.records import read_items, read_record, read_support
from sft.reporting.compare import compare_runs
from sft.reporting.curve import learning_curve
from sft.reporting.judged import read_judged
from sft.training.train import train_adapter
from tests.fakes import byte_tokenizer, write_jsonl
from tests.label_scoring import brute_force
from tests.multilabel_tasks import LABELS, multilabel_run, rows
from tests.scorer_spy import spy_on_scoring

TOKENIZER = byte_tokenizer()
TRAIN, TEST = rows(24), rows(8, seed=1, prefix="new ")


def odds_of(model: Any, prompt: str) -> float:
    """Log-odds of " yes" against " no" after a prompt, by the definition."""
    answers = [TOKENIZER(text)["input_ids"] for text in (" no", " yes")]
    no, yes = brute_force(model, [LabelPrompt(TOKENIZER(prompt)["input_ids"], answers)], None)[0]
    return float(yes - no)


def numbers(items: list[dict[str, Any]], name: str = "log_odds") -> np.ndarray:
    return np.array([item[name] for item in items])


def base_model(run: Run) -> Any:
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(run.record.model["base"]).eval()


def has(names: list[str]) -> list[bool]:
    return [label in names for label in LABELS]


def test_log_odds_are_those_of_each_question_alone_and_predictions_follow_from_the_thresholds(tmp_path: Path) -> None:
    """Neither shots nor in-context examples: every threshold is 0.5."""
    run = evaluate(multilabel_run(tmp_path, dataset={"shots": 0}), tmp_path / "results")
    items, model = read_items(run.folder), base_model(run)
    assert [item["inputs"]["text"] for item in items] == [row["text"] for row in TEST]
    assert [item["reference"] for item in items] == [sorted(row["labels"]) for row in TEST]
    expected = [[odds_of(model, f"Text: {row['text']}\nLabels: {label}?") for label in LABELS] for row in TEST]
    np.testing.assert_allclose(numbers(items), expected, atol=1e-4)
    np.testing.assert_allclose(numbers(items, "probabilities"), sigmoid(np.array(expected)), atol=1e-5)
    assert [has(item["prediction"]) for item in items] == (numbers(items) >= 0).tolist()
    assert run.record.inference["thresholds"] == {
        "chosen": "default",
        "shots": 0,
        "probabilities": dict.fromkeys(LABELS, 0.5),
    }
    assert run.record.inference["method"] == "label_questions"
    assert not read_support(run.folder)
    assert not run.record.warnings


CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}"
PLACES = {
    "plain, by default": (False, None, "Text: {}\nLabels: {}?"),
    "plain, in the answer": (False, "answer", "Text: {}\nLabels: {}:"),
    "chat, by default": (True, None, CHAT.format("{}", "{}:")),
    "chat, in the prompt": (True, "prompt", CHAT.format("Text: {}\nLabel: {}", "")),
}


@pytest.mark.parametrize("case", PLACES)
def test_where_a_label_stands(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat, place, prompt = PLACES[case]
    calls = spy_on_scoring(monkeypatch)
    question = {} if place is None else {"label_question": {"place": place}}
    config = multilabel_run(tmp_path, test=1, chat=chat, dataset={"shots": 0}, prompting=question)
    evaluate(config, tmp_path / "results")
    ((together,),) = calls
    text = rows(1, seed=1, prefix="new ")[0]["text"]
    decode = byte_tokenizer(chat=chat).decode
    asked = [decode([*together.prompt, *ids]) for ids in together.labels]
    no, yes = ("no", "yes") if prompt.endswith("\n") else (" no", " yes")
    assert asked == [prompt.format(text, label) + answer for label in LABELS for answer in (no, yes)]


def test_thresholds_of_a_trained_run_come_from_adapters_that_have_not_seen_the_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[set[int]] = []
    without = pipeline_folds.trained_without

    def watched(prepared: Any, source: Any, held_out: Any, *args: Any) -> Any:
        trained_on.append({e.row for e in prepared.pool} - {e.row for e in held_out})
        return without(prepared, source, held_out, *args)

    monkeypatch.setattr("sft.pipeline.shots.trained_without", watched)
    run = run_experiment(multilabel_run(tmp_path), tmp_path / "results")
    pool = run.record.data["pool_row_numbers"]
    assert len(trained_on) == 2
    assert set.union(*trained_on) == set(pool)
    assert not set.intersection(*trained_on)
    shots = read_support(run.folder)
    assert [shot["row"] for shot in shots] == pool
    assert [shot["reference"] for shot in shots] == [sorted(TRAIN[row]["labels"]) for row in pool]
    chosen = best_thresholds(numbers(shots), np.array([has(shot["reference"]) for shot in shots]))
    report = run.record.inference["thresholds"]
    assert report["probabilities"] == dict(zip(LABELS, sigmoid(chosen).tolist(), strict=True))
    assert report["shots"] == len(pool)
    items = read_items(run.folder)
    assert [has(item["prediction"]) for item in items] == (numbers(items) >= chosen).tolist()
    assert run.record.inference["scored_shots"]["method"] == "folds"
    assert run.record.counts["label_budget"] == {
        name: sum(name in TRAIN[row]["labels"] for row in pool) for name in LABELS
    }
    assert {"majority", "every_label", "tfidf_logistic_regression"} == set(run.record.baselines)


def test_training_asks_as_often_for_a_yes_as_for_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def watched(loaded: Any, adapter: Any, args: Any, sequences: Any, **more: Any) -> Any:
        texts.extend(TOKENIZER.decode(sequence.ids) for sequence in sequences)
        return train_adapter(loaded, adapter, args, sequences, **more)

    monkeypatch.setattr("sft.pipeline.model.train_adapter", watched)
    run = run_experiment(multilabel_run(tmp_path, inference={"thresholds": 0.5}), tmp_path / "results")
    pool = [TRAIN[row] for row in run.record.data["pool_row_numbers"]]
    for label in LABELS:
        yes = {f"Text: {row['text']}\nLabels: {label}? yes<|endoftext|>" for row in pool if label in row["labels"]}
        asked = [text for text in texts if f"Labels: {label}?" in text]
        assert yes == {text for text in asked if " yes<" in text}
        others = {
            f"Text: {row['text']}\nLabels: {label}? no<|endoftext|>" for row in pool if label not in row["labels"]
        }
        no = {text for text in asked if " no<" in text}
        assert no <= others
        assert len(no) == min(len(yes), len(others))
    assert not read_support(run.folder)


def test_an_untrained_model_is_asked_about_each_shot_after_other_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy_on_scoring(monkeypatch)
    config = multilabel_run(tmp_path, dataset={"shots": 0}, inference={"icl_examples": 4})
    run = evaluate(config, tmp_path / "results")
    pool = [TRAIN[row]["text"] for row in run.record.data["pool_row_numbers"]]
    assert len(pool) == 4
    of_rows, of_shots = calls
    shown = [TOKENIZER.decode(prompt.prompt).split("\n\n")[:-1] for prompt in of_rows]
    assert all(sorted(text.split("\n")[0] for text in one) == sorted(f"Text: {text}" for text in pool) for one in shown)
    assert shown[0] == shown[1]
    for text, prompt in zip(pool, of_shots, strict=True):
        *before, query = TOKENIZER.decode(prompt.prompt).split("\n\n")
        assert query == f"Text: {text}\nLabels: "
        assert len(before) == 3
        assert not any(f"Text: {text}\n" in one for one in before)
        assert all(one.endswith((" yes", " no")) for one in before)
    assert run.record.inference["thresholds"]["shots"] == 4
    assert run.record.inference["scored_shots"]["method"] == "leave-one-out"


def test_given_thresholds_are_used_and_unknown_labels_refused(tmp_path: Path) -> None:
    config = multilabel_run(tmp_path, dataset={"shots": 0}, inference={"thresholds": {"joy": 0.0, "anger": 1.0}})
    run = evaluate(config, tmp_path / "results")
    predicted = np.array([has(item["prediction"]) for item in read_items(run.folder)])
    assert predicted[:, 2].all()
    assert not predicted[:, 0].any()
    assert run.record.inference["thresholds"]["probabilities"] == {"anger": 1.0, "great sadness": 0.5, "joy": 0.0}
    wrong = multilabel_run(tmp_path, dataset={"shots": 0}, inference={"thresholds": {"envy": 0.5}})
    with pytest.raises(SftError, match=r"inference\.thresholds names 'envy', which is not among the labels"):
        evaluate(wrong, tmp_path / "results")


def test_a_trained_adapter_is_evaluated_and_predicts_with_thresholds_of_a_half_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = multilabel_run(tmp_path, trainer_args={"output_dir": str(tmp_path / "adapter")})
    trained = train(config)
    with caplog.at_level(logging.WARNING):
        run = evaluate(config, tmp_path / "results", checkpoint=str(trained.folder))
    assert any("the threshold of every label is 0.5: it can't be known which rows" in w for w in run.record.warnings)
    unlabelled = write_jsonl(tmp_path / "new.jsonl", [{"text": row["text"]} for row in TEST])
    path = predict(config, tmp_path / "out.tsv", checkpoint=str(trained.folder), input_path=str(unlabelled))
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    items = read_items(run.folder)
    assert frame["predictions"].tolist() == [", ".join(item["prediction"]) for item in items]
    for i, label in enumerate(LABELS):
        np.testing.assert_allclose(frame[f"probability_{label}"], sigmoid(numbers(items)[:, i]), atol=1e-6)


def test_predictions_use_the_thresholds_that_a_run_would_use(tmp_path: Path) -> None:
    config = multilabel_run(tmp_path)
    run = evaluate(config, tmp_path / "results")
    frame = pd.read_csv(predict(config, tmp_path / "out.tsv"), sep="\t", keep_default_na=False)
    assert run.record.inference["thresholds"]["shots"] > 0
    assert frame["predictions"].tolist() == [", ".join(item["prediction"]) for item in read_items(run.folder)]


def test_a_column_that_predict_would_write_to_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    config = multilabel_run(tmp_path, model={"name": "nobody/no-such-model"})
    write_jsonl(tmp_path / "data/test.jsonl", [{**row, f"probability_{LABELS[0]}": 0.5} for row in TEST])
    with pytest.raises(SftError, match=f"a column 'probability_{LABELS[0]}' of its own"):
        predict(config, tmp_path / "out.tsv")


def test_arguments_are_selected_by_the_held_out_answers_about_all_labels(tmp_path: Path) -> None:
    select = {"grid": {"learning_rate": [1e-9]}, "folds": 2}
    config = multilabel_run(
        tmp_path, training={"trainer_args": {"max_steps": 1}, "select": select}, inference={"thresholds": 0.5}
    )
    run = run_experiment(config, tmp_path / "results")
    assert run.record.training is not None
    (still,) = run.record.training["selection"]["points"]
    # So small a rate leaves the model as it is; its answers are known from a run without training.
    config = multilabel_run(tmp_path)
    bare = evaluate(config, tmp_path / "bare")
    losses = [
        float(np.logaddexp(0.0, -odds if label in shot["reference"] else odds))
        for shot in read_support(bare.folder)
        for odds, label in zip(shot["log_odds"], LABELS, strict=True)
    ]
    sizes_differ = 0.05  # the mean over folds weighs rows of a smaller fold more
    assert still["mean"] == pytest.approx(np.mean(losses), rel=sizes_differ)


def test_stored_items_give_the_same_outcome_and_other_metrics_need_no_model(tmp_path: Path) -> None:
    config = multilabel_run(tmp_path, dataset={"shots": 0})
    run = evaluate(config, tmp_path / "results")
    again = stored_outcome(read_items(run.folder), run.record, run.folder)
    np.testing.assert_array_equal(again.predictions, [has(item["prediction"]) for item in read_items(run.folder)])
    other = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"metrics": ["lrap"]})})
    assert answers_key(other) == answers_key(config)
    made = derive(run.folder, run.record, other, tmp_path / "results", None, anew=False)
    assert made is not None
    assert made[0].results == {"lrap": run.record.results["lrap"]}
    with pytest.raises(SftError, match="no scores of labels that exclude each other"):
        find_scored_runs([run.folder])


def test_runs_over_shots_make_a_table_and_a_curve_with_baselines(tmp_path: Path) -> None:
    for shots in (2, 5):
        evaluate(multilabel_run(tmp_path, dataset={"shots": shots}), tmp_path / "results")
    aggregate_results([tmp_path / "results"])
    table = (tmp_path / "results/aggregated_results.md").read_text()
    assert "micro_f1 of every label" in table
    assert "micro_f1 of TF-IDF + LR" in table
    folders = [path.parent for path in (tmp_path / "results").glob("*/record.json")]
    records = {folder.name: read_record(folder) for folder in folders}
    judged = {folder.name: read_judged(folder, records[folder.name]) for folder in folders}
    curve = learning_curve(list(records.values()), judged)
    assert curve.metric == "micro_f1"
    assert curve.per_label
    regression = next(one for one in curve.series if one.title == "TF-IDF + LR")
    for point in regression.points:
        assert point is not None
        assert point.low is not None
        assert point.high is not None
        assert point.low <= point.mean <= point.high


def test_two_runs_are_compared_label_by_label_and_by_rows_that_are_all_right(tmp_path: Path) -> None:
    runs = [
        evaluate(
            multilabel_run(tmp_path, dataset={"shots": 0}, inference={"thresholds": threshold}), tmp_path / "results"
        )
        for threshold in (0.3, 0.01)
    ]
    compared = compare_runs(*(run.folder for run in runs))
    assert compared.right == "subset_accuracy"
    assert {difference.of for difference in compared.classes} == set(LABELS)
    assert {"micro_f1", "lrap"} <= {difference.name for difference in compared.metrics}
    items = {item["row"]: item for item in read_items(runs[0].folder)}
    assert compared.items
    for item in compared.items:
        assert item.references == items[item.row]["reference"]
        assert item.first == ", ".join(items[item.row]["prediction"])


def test_a_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labels that exclude each other"):
        multilabel_run(tmp_path, inference={"calibration": {"method": "contextual"}})


def test_records_are_plain_json(tmp_path: Path) -> None:
    run = evaluate(multilabel_run(tmp_path, chat=True, dataset={"shots": 0}), tmp_path / "results")
    json.loads((run.folder / "record.json").read_text())
    assert run.record.inference["label_end"] == "eot"


GENERATED = {"method": "generate"}


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_generated_lists_hold_labels_in_order_whatever_the_model_would_say(chat: bool, tmp_path: Path) -> None:
    config = multilabel_run(tmp_path, chat=chat, dataset={"shots": 0}, inference={**GENERATED, "icl_examples": 2})
    run = evaluate(config, tmp_path / "results")
    items = read_items(run.folder)
    for item in items:
        assert item["prediction"] == [label for label in LABELS if label in item["generated"].split(", ")]
        assert item["generated"] == (", ".join(item["prediction"]) or "none")
    assert "lrap" not in run.record.results
    assert run.record.results["micro_f1"] == pytest.approx(
        2
        * sum(len({*item["prediction"]} & {*item["reference"]}) for item in items)
        / max(1, sum(len(item["prediction"]) + len(item["reference"]) for item in items))
    )
    again = stored_outcome(items, run.record, run.folder)
    np.testing.assert_array_equal(again.predictions, [has(item["prediction"]) for item in items])
    frame = pd.read_csv(predict(config, tmp_path / "out.tsv"), sep="\t", keep_default_na=False)
    assert frame["predictions"].tolist() == [", ".join(item["prediction"]) for item in items]
    assert not [column for column in frame.columns if column.startswith("probability")]


def test_lists_are_trained_as_they_are_generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def watched(loaded: Any, adapter: Any, args: Any, sequences: Any, **more: Any) -> Any:
        texts.extend(TOKENIZER.decode(sequence.ids) for sequence in sequences)
        return train_adapter(loaded, adapter, args, sequences, **more)

    monkeypatch.setattr("sft.pipeline.model.train_adapter", watched)
    config = multilabel_run(tmp_path, dataset={"shots": None}, inference=GENERATED)
    run_experiment(config, tmp_path / "results")
    said = {row["text"]: ", ".join(sorted(row["labels"])) or "none" for row in TRAIN}
    assert any(text == "none" for text in said.values())
    assert sorted(texts) == sorted(f"Text: {text}\nLabels: {answer}<|endoftext|>" for text, answer in said.items())
