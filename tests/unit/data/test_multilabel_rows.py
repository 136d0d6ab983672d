"""Rows with any number of labels: how they stand in a file, which of them a run learns from, and how they are split."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.data.folds import stratified_folds
from sft.data.load import load_task
from sft.data.sampling import InContextExamples, label_pool, select_test
from sft.errors import DataError
from tests.fakes import make_config, write_dataset
from tests.multilabel_tasks import LABEL_SET, examples

HELD = np.random.default_rng(3).random((60, 3)) < [0.6, 0.3, 0.05]
TRAIN = examples([np.flatnonzero(row).tolist() for row in HELD])


def config_for(path: Path, **dataset: Any) -> ExperimentConfig:
    return make_config(
        dataset={"path": str(path), "task_type": "multilabel", **dataset}, prompting={"output_column": "labels"}
    )


def loaded(folder: Path, values: list[Any], **dataset: Any) -> list[tuple[str, ...]]:
    """The names of the labels of each training row."""
    data = [{"text": f"row {i}", "labels": value} for i, value in enumerate(values)]
    task = load_task(config_for(write_dataset(folder, data, [{"text": "x", "labels": values[0]}]), **dataset))
    assert task.labels is not None
    names = task.labels.names
    return [tuple(names[i] for i in example.labels or ()) for example in task.train]


WAYS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "lists": ([["joy", "anger"], [], ["love"], ["joy", "joy"]], {}),
    "separated texts": (["joy, anger", "", "love", "joy,joy"], {}),
    "texts separated otherwise": (["joy|anger", "", " love ", "joy|joy|"], {"label_separator": "|"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_labels_are_read_from_lists_and_separated_texts_each_once_in_label_order(way: str, tmp_path: Path) -> None:
    values, dataset = WAYS[way]
    assert loaded(tmp_path, values, **dataset) == [("anger", "joy"), (), ("love",), ("joy",)]


def test_numbers_of_a_data_set_with_named_classes_are_read_as_their_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "labels": datasets.List(datasets.ClassLabel(names=["love", "anger"]))}
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "labels": [[1, 0], []]}, features=features)
    other = datasets.Dataset.from_dict({"text": ["c"], "labels": [[1]]}, features=features)
    datasets.DatasetDict({"train": rows, "test": other}).save_to_disk(str(tmp_path / "data"))
    task = load_task(config_for(tmp_path / "data"))
    assert task.labels is not None
    assert task.labels.names == ("love", "anger")
    assert [example.labels for example in [*task.train, *task.test]] == [(0, 1), (), (1,)]


@pytest.mark.parametrize(
    ("values", "dataset", "message"),
    [
        ([["joy"], None], {}, "row 1: a label is missing"),
        ([["joy"], ["joy", None]], {}, "row 1: a label is missing"),
        ([["joy"], ["envy"]], {"labels": ["joy"]}, "row 1: 'envy' is not among the labels"),
        ([[], []], {}, "holds no label"),
    ],
)
def test_rows_that_lack_labels_or_have_unknown_ones_are_refused(
    values: list[Any], dataset: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, values, **dataset)


def test_the_fingerprint_depends_on_the_labels(tmp_path: Path) -> None:
    found = set()
    for name, value in {"a": ["joy"], "b": ["joy", "anger"], "c": []}.items():
        data = [{"text": "x", "labels": value}, {"text": "y", "labels": ["joy", "anger"]}]
        test = [{"text": "z", "labels": ["joy"]}]
        found.add(load_task(config_for(write_dataset(tmp_path / name, data, test))).fingerprint)
    assert len(found) == 3


def pool(shots: int | None, seed: int = 13, icl_examples: int = 0) -> list[Example]:
    config = make_config(dataset={"shots": shots}, inference={"icl_examples": icl_examples}, seed=seed)
    return label_pool(TRAIN, LABEL_SET, config)


def counts(chosen: list[Example]) -> list[int]:
    return [sum(example.has(label) for example in chosen) for label in range(3)]


@pytest.mark.parametrize("shots", [1, 2, 4, 16])
def test_each_label_has_the_shots_or_all_its_rows_and_no_row_could_be_spared(
    shots: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = pool(shots)
    assert len({example.row for example in chosen}) == len(chosen)
    available = counts(TRAIN)
    assert all(have >= min(shots, there) for have, there in zip(counts(chosen), available, strict=True))
    taken: Counter[int] = Counter()
    for example in chosen:  # every row was taken for a label that lacked rows then
        assert example.labels
        assert any(taken[label] < shots for label in example.labels)
        taken.update(example.labels)
    assert ("great sadness" in caplog.text) == (available[1] < shots)
    assert ("joy" in caplog.text) == (available[2] < shots)


def test_smaller_pools_are_parts_of_larger_ones_in_the_same_order() -> None:
    larger = [example.row for example in pool(16)]
    for shots in (1, 2, 4, 8):
        smaller = {example.row for example in pool(shots)}
        assert smaller < set(larger)
        assert [row for row in larger if row in smaller] == [example.row for example in pool(shots)]


def test_all_rows_are_the_pool_where_no_number_is_given_those_without_labels_too() -> None:
    assert sorted(example.row for example in pool(None)) == list(range(60))
    assert any(not example.labels for example in pool(None))


def test_without_shots_in_context_examples_are_counted_in_total() -> None:
    chosen = pool(0, icl_examples=5)
    assert len(chosen) == 5
    shown = InContextExamples(chosen, LABEL_SET, 5, purpose="inference", sampling="fixed", seed=1)
    assert len(shown) == 5
    assert {example.row for example in shown.for_query(TRAIN[0])} == {example.row for example in chosen}


def test_a_test_subset_has_the_size_asked_for() -> None:
    assert len(select_test(TRAIN, LABEL_SET, 17)) == 17


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_row_is_in_one_fold_and_labels_and_sizes_are_even(folds: int) -> None:
    parts = stratified_folds(TRAIN, folds)
    assert sorted(example.row for part in parts for example in part) == list(range(60))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    by_label = np.array([counts(part) for part in parts])
    spread = by_label.max(axis=0) - by_label.min(axis=0)
    assert spread[2] <= 1, "the rarest label is spread first"
    assert spread.max() <= 3
