"""Answers by generation: the generation task, and classification by parsing what was generated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sacrebleu import corpus_chrf

from sft.inference.generation.finished_rows import FinishedRows
from sft.pipeline.endpoints import Run, evaluate, run_experiment
from sft.pipeline.predict import predict
from sft.records import read_items
from tests.fakes import labelled_rows, make_config, write_dataset
from tests.tiny_runs import tiny_run

TRAIN = [{"question": f"colour of {i}?", "answer": f"red {i}"} for i in range(6)]
TEST = [
    {"question": "colour of 10?", "answer": ["red 10", "it is red"]},
    {"question": "colour of 11 with\na second line?", "answer": ["red 11", "11 red"]},
    {"question": "", "answer": ["nothing", ""]},
]


def generation_run(folder: Path, **sections: Any) -> Any:
    prompting = {"input_columns": ["question"], "output_column": "answer", **sections.pop("prompting", {})}
    dataset = {"task_type": "generation", "shots": 4, **sections.pop("dataset", {})}
    train = [{**row, "answer": [row["answer"]]} for row in TRAIN]
    return tiny_run(folder, train=train, test=TEST, dataset=dataset, prompting=prompting, **sections)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_generation_task_runs_from_shots_to_metrics(chat: bool, tmp_path: Path) -> None:
    config = generation_run(tmp_path, chat=chat, training={"icl_examples": 1}, inference={"icl_examples": 2})
    run = run_experiment(config, tmp_path / "results")
    items = read_items(run.folder)
    assert [item["references"] for item in items] == [row["answer"] for row in TEST]
    assert all(item["prediction"] == item["generated"] for item in items)
    assert run.record.counts["label_budget"] == 4
    assert run.record.baselines == {}
    assert len(run.record.inference["in_context_examples"]) == 1
    assert run.record.inference["in_context_examples"]["the data set"] == 2
    results = run.record.results
    exact = [item["prediction"] in item["references"] for item in items]
    assert results["exact_match"] == pytest.approx(sum(exact) / 3)
    predictions = [item["prediction"] for item in items]
    references = [[item["references"][i] for item in items] for i in range(2)]
    assert results["chrf"] == pytest.approx(corpus_chrf(predictions, references).score, abs=1e-6)


def test_answers_have_room_for_the_longest_reference_of_training(tmp_path: Path) -> None:
    """ "red 5" is 5 bytes after a space, and its end of turn one more token."""
    run = evaluate(generation_run(tmp_path), tmp_path / "results")
    assert run.record.inference["max_new_tokens"] == len(" red 5") + 1
    shorter = generation_run(tmp_path, prompting={"max_output_length": 3})
    assert evaluate(shorter, tmp_path / "results").record.inference["max_new_tokens"] == 3
    given = generation_run(tmp_path, inference={"generation_args": {"max_new_tokens": 2}})
    record = evaluate(given, tmp_path / "results")
    assert record.record.inference["max_new_tokens"] == 2
    assert all(len(item["generated"]) <= 2 for item in read_items(record.folder))


def test_predict_writes_generated_texts_without_probabilities(tmp_path: Path) -> None:
    config = generation_run(tmp_path)
    frame = pd.read_csv(predict(config, tmp_path / "predictions"), sep="\t", keep_default_na=False)
    assert list(frame.columns) == ["question", "answer", "predictions"]
    items = read_items(evaluate(config, tmp_path / "results").folder)
    assert frame["predictions"].tolist() == [item["generated"] for item in items]


class Stopped(Exception):
    """Instead of a signal."""


@contextlib.contextmanager
def stopped_after(rows: int) -> Iterator[None]:
    """Within it, generation stops when so many rows have been kept, and says so."""
    put, kept = FinishedRows.put, []

    def stopping(self: FinishedRows, key: str, text: str) -> None:
        put(self, key, text)
        kept.append(text)
        if len(kept) == rows:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinishedRows, "put", stopping)
        with pytest.raises(Stopped):
            yield


def test_a_stopped_run_goes_on_with_the_rows_that_are_left(tmp_path: Path) -> None:
    config = generation_run(tmp_path, inference={"generation_args": {"do_sample": True}})
    undisturbed = evaluate(config, tmp_path / "undisturbed")
    with stopped_after(2):
        evaluate(config, tmp_path / "results")
    (folder,) = (tmp_path / "results").iterdir()
    assert len((folder / "unfinished" / "texts.jsonl").read_text().splitlines()) == 2
    again = evaluate(config, tmp_path / "results")
    assert read_items(again.folder) == read_items(undisturbed.folder)
    assert again.record.results == undisturbed.record.results
    assert not (folder / "unfinished").exists()


def test_a_stopped_prediction_goes_on_with_the_rows_that_are_left(tmp_path: Path) -> None:
    config = generation_run(tmp_path)
    expected = predict(config, tmp_path / "undisturbed.tsv").read_text()
    (tmp_path / "stopped").mkdir()
    path = tmp_path / "stopped" / "rows.tsv"
    with stopped_after(2):
        predict(config, path)
    (kept,) = path.parent.iterdir()
    assert len(kept.read_text().splitlines()) == 2
    with stopped_after(1):  # one is left
        predict(config, path)
    assert predict(config, path).read_text() == expected
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("decoder", "name"), [("auto", "continuous"), ("static", "static")])
def test_the_record_says_how_texts_were_generated(decoder: str, name: str, tmp_path: Path) -> None:
    config = generation_run(tmp_path, inference={"decoder": decoder})
    run = evaluate(config, tmp_path / "results")
    assert run.record.inference["decoder"]["name"] == name
    assert run.record.inference["decoder"]["reason"]
    assert run.record.run_id == evaluate(generation_run(tmp_path), tmp_path / "results").record.run_id


def real_run(folder: Path, model: Path, labels: dict[str, str]) -> Run:
    """Classification of 8 rows by what a real model writes after "It was"."""
    test = [{"text": text, "label": "good" if i % 2 else "bad"} for i, text in enumerate(REVIEWS)]
    config = make_config(
        dataset={"path": str(write_dataset(folder / "data", test, test)), "shots": 0, "labels": labels},
        model={"name": str(model)},
        prompting={"format": "plain", "template": "Review: {text}\nIt was"},
        inference={"method": "generate", "generation_args": {"max_new_tokens": 4}},
        lora=None,
        training=None,
    )
    return evaluate(config, folder / "results")


REVIEWS = [
    "I fell asleep twice.",
    "The best film of the year, funny and warm.",
    "Two hours I will never get back.",
    "What a wonderful cast!",
    "The plot makes no sense at all.",
    "My children laughed from start to end.",
    "Boring, loud and far too long.",
    "A small masterpiece about growing old.",
]


def test_classification_by_generation_counts_answers_that_name_no_label(assets: Path, tmp_path: Path) -> None:
    """What the model writes doesn't depend on the labels, so labels can be chosen from what it wrote."""
    model = assets / "models" / "base-8m"
    nothing_fits = real_run(tmp_path, model, {"good": "zzqx", "bad": "xqzz"})
    generated = [item["generated"] for item in read_items(nothing_fits.folder)]
    assert nothing_fits.record.results["invalid_rate"] == 1.0
    assert nothing_fits.record.results["accuracy"] == 0.0
    beginnings = [" ".join(text.split()[:2]) for text in generated]
    begin = max(set(beginnings), key=beginnings.count)
    fits = [beginning == begin for beginning in beginnings]
    assert 0 < sum(fits[1::2]) < sum(fits) < len(fits), generated

    run = real_run(tmp_path, model, {"good": begin, "bad": "zzqx"})
    items = read_items(run.folder)
    assert [item["generated"] for item in items] == generated
    assert [item["prediction"] for item in items] == ["good" if fit else "" for fit in fits]
    results = run.record.results
    assert results["invalid_rate"] == pytest.approx(1 - sum(fits) / len(fits))
    assert results["accuracy"] == pytest.approx(sum(fits[1::2]) / len(fits))
    assert "nll" not in results
    assert "probabilities" not in items[0]


def test_predictions_that_name_no_label_are_empty_in_the_table(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, test=labelled_rows(2, prefix="unseen "), inference={"method": "generate"})
    path = predict(config, tmp_path / "predictions")
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    assert frame["predictions"].tolist() == [""] * 6
    assert list(frame.columns) == ["text", "label", "predictions"]
