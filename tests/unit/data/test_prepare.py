"""From a config to the rows of a run, on files: duplicates, subsets, seeds, and what the record says of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from sft.config.schema import ExperimentConfig
from sft.pipeline.prepare import Prepared, prepare
from tests.fakes import LABELS, labelled_rows, make_config, write_dataset


def run_config(path: Path, **sections: Any) -> ExperimentConfig:
    dataset = {"path": str(path), "shots": 3, "max_n_test": 9, **sections.pop("dataset", {})}
    return make_config(dataset=dataset, **sections)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, labelled_rows(8), labelled_rows(10, prefix="unseen "))


def pool_and_test(prepared: Prepared) -> tuple[list[int], list[int]]:
    return [e.row for e in prepared.pool], [e.row for e in prepared.test]


def test_the_test_rows_are_the_same_for_every_seed_and_number_of_shots(folder: Path) -> None:
    runs = [
        prepare(run_config(folder, dataset={"shots": shots}, seed=seed))
        for shots, seed in itertools.product((0, 2, 8, None), (1, 2))
    ]
    assert len({tuple(pool_and_test(run)[1]) for run in runs}) == 1
    assert [run.data_report()["test_row_numbers"] for run in runs] == [pool_and_test(runs[0])[1]] * len(runs)


def test_seeds_can_be_set_apart(folder: Path) -> None:
    def shown(**seeds: int) -> tuple[set[int], list[int]]:
        run = prepare(run_config(folder, inference={"icl_examples": 2}, **seeds))
        return {e.row for e in run.pool}, [e.row for e in run.inference_examples().for_query(run.test[0])]

    base = shown(seed=1)
    other_order = shown(seed=1, icl_seed=2)
    assert other_order[0] == base[0]
    assert other_order[1] != base[1]
    assert shown(seed=1, data_seed=2)[0] != base[0]
    assert shown(seed=5, data_seed=1, icl_seed=1) == base


def test_in_context_examples_come_from_the_pool_for_training_and_inference(folder: Path) -> None:
    run = prepare(run_config(folder, training={"icl_examples": 2}, inference={"icl_examples": 3}))
    pool = {e.row for e in run.pool}
    for query in run.pool:
        found = {e.row for e in run.training_examples().for_query(query)}
        assert found <= pool - {query.row}
        assert len(found) == 2 * len(LABELS)
    inference = run.inference_examples()
    assert all({e.row for e in inference.for_query(query)} == pool for query in run.test)
    texts = {e.inputs["text"] for query in run.test for e in inference.for_query(query)}
    assert not texts & {e.inputs["text"] for e in run.data.test}


def test_without_a_training_section_training_prompts_show_none(folder: Path) -> None:
    assert len(prepare(run_config(folder, training=None)).training_examples()) == 0


def test_counts_say_what_a_run_used(folder: Path) -> None:
    run = prepare(run_config(folder))
    assert run.counts() == {
        "train_rows": 24,
        "test_rows_available": 30,
        "test_rows": 9,
        "pool_rows": 9,
        "label_budget": {"negative": 3, "neutral": 3, "positive": 3},
    }
    report = run.data_report()
    assert report["labels"] == list(LABELS)
    assert sorted(report["pool_row_numbers"]) == sorted(pool_and_test(run)[0])
    assert report["fingerprint"] == run.data.fingerprint


def test_the_label_budget_of_zero_shots_is_that_of_its_in_context_examples(folder: Path) -> None:
    zero = prepare(run_config(folder, dataset={"shots": 0}))
    assert zero.counts()["label_budget"] == dict.fromkeys(LABELS, 0)
    shown = prepare(run_config(folder, dataset={"shots": 0}, inference={"icl_examples": 2}))
    assert shown.counts()["label_budget"] == dict.fromkeys(LABELS, 2)


def test_the_label_budget_of_generation_is_a_number(folder: Path) -> None:
    run = prepare(run_config(folder, dataset={"task_type": "generation", "shots": 5}))
    assert run.counts()["label_budget"] == 5
    assert run.data_report()["labels"] is None


@pytest.fixture
def duplicated(tmp_path: Path) -> Path:
    """8 + 2 training rows; one is also a test row, one differs by white space only, one has another label there."""
    train = [*labelled_rows(2), {"text": "same", "label": "neutral"}, {"text": " spaced\r\n", "label": "neutral"}]
    train += [{"text": "contrary", "label": "positive"}, {"text": "Same", "label": "positive"}]
    test = [*labelled_rows(1, prefix="unseen "), {"text": "same", "label": "neutral"}]
    test += [{"text": "spaced", "label": "neutral"}, {"text": "contrary", "label": "negative"}]
    return write_dataset(tmp_path, train, test)


@pytest.mark.parametrize("drop", [True, False])
def test_training_rows_that_are_test_rows_too_are_counted_and_dropped_or_kept(duplicated: Path, drop: bool) -> None:
    run = prepare(run_config(duplicated, dataset={"shots": None, "max_n_test": None, "deduplicate": drop}))
    report = run.data_report()
    assert report["train_test_duplicates"] == 3
    assert report["duplicates_dropped"] is drop
    shared = {e.inputs["text"] for e in run.pool} & {e.inputs["text"] for e in run.test}
    assert shared == (set() if drop else {"same", "spaced", "contrary"})
    assert len(run.pool) == (7 if drop else 10)


def test_a_row_keeps_its_number_when_others_are_dropped(duplicated: Path) -> None:
    run = prepare(run_config(duplicated, dataset={"shots": None}))
    assert {e.row: e.inputs["text"] for e in run.pool}[9] == "Same"


def test_rows_are_duplicates_only_where_all_columns_agree(tmp_path: Path) -> None:
    train = [{"a": "x", "b": "y", "label": "p"}, {"a": "x", "b": "z", "label": "q"}, {"a": "xy", "b": "", "label": "p"}]
    test = [{"a": "x", "b": "y", "label": "p"}, {"a": "", "b": "xy", "label": "q"}]
    write_dataset(tmp_path, train, test)
    columns = {"input_columns": ["a", "b"], "output_column": "label"}
    run = prepare(run_config(tmp_path, dataset={"shots": None}, prompting=columns))
    assert run.data.duplicates == 1


def test_the_run_id_follows_the_data(tmp_path: Path) -> None:
    rows = labelled_rows(4)
    ids = set()
    for change in ("", "!"):
        folder = write_dataset(
            tmp_path / "data", [*rows[:-1], {**rows[-1], "text": rows[-1]["text"] + change}], rows[:3]
        )
        ids.add(prepare(run_config(folder)).run_id(trains=True))
    assert len(ids) == 2
