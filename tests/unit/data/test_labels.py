"""Which labels a task has, in which order, and what the model reads for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from sft.data.example import LabelSet
from sft.data.load import load_task
from sft.errors import DataError
from tests.fakes import config_value, make_config, write_dataset


def labels_of(folder: Path, train: list[Any], given: Any = None) -> LabelSet:
    """The label set of a data set whose training rows have these labels."""
    rows = [{"text": f"row {i}", "label": label} for i, label in enumerate(train)]
    write_dataset(folder, rows, [{"text": "test", "label": train[0]}])
    labels = load_task(make_config(dataset={"path": str(folder), "labels": given})).labels
    assert labels is not None
    return labels


# (labels of the training rows, names in order)
FOUND: list[tuple[list[Any], tuple[str, ...]]] = [
    (["b", "a", "b"], ("a", "b")),
    ([10, 2, 1], ("1", "2", "10")),
    (["10", "2", "x"], ("2", "10", "x")),
    ([True, False], ("false", "true")),
    ([1.5, 0.5], ("0.5", "1.5")),
    (["neutral", "nan", "inf", "Neutral"], ("Neutral", "inf", "nan", "neutral")),
]


@pytest.mark.parametrize(("train", "names"), FOUND, ids=str)
def test_labels_are_the_values_of_the_train_split_in_natural_order(
    tmp_path: Path, train: list[Any], names: tuple[str, ...]
) -> None:
    labels = labels_of(tmp_path, train)
    assert labels.names == names
    assert labels.verbalisations == names


def test_the_order_of_labels_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Also for texts that Python reads as numbers without an order, and whatever the hash seed is."""
    write_dataset(tmp_path, [{"text": f"{i}", "label": v} for i, v in enumerate(["nan", "inf", "b", "NaN", "a", "1"])])
    (tmp_path / "test.jsonl").write_text('{"text": "t", "label": "a"}\n')
    code = (
        "import json, sys; from sft.config.load import config_from_value; from sft.data.load import load_task\n"
        "print(load_task(config_from_value(json.loads(sys.argv[1]), 'x')).labels.names)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(config_value(dataset={"path": str(tmp_path)}))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert outputs == {"('1', 'NaN', 'a', 'b', 'inf', 'nan')"}


def test_a_list_of_labels_sets_their_order_and_may_name_more_than_the_rows_hold(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, ["b", "a"], ["b", "a", "c"])
    assert labels.names == labels.verbalisations == ("b", "a", "c")


def test_a_map_of_labels_gives_each_value_the_text_that_is_scored(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, [1, 0], {"0": " terrible", "1": " great"})
    assert labels == LabelSet(("0", "1"), (" terrible", " great"))


def test_numbers_and_truth_values_in_a_config_mean_the_values_of_the_column(tmp_path: Path) -> None:
    assert labels_of(tmp_path / "numbers", [1, 0], [0, 1]).names == ("0", "1")
    assert labels_of(tmp_path / "truth", [True, False], [True, False]).names == ("true", "false")


# (labels of the training rows, dataset.labels, what the message says)
REFUSED: list[tuple[list[Any], Any, str]] = [
    (["a", "b"], ["a"], "split 'train', column 'label', row 1: 'b' is not among the labels (a)"),
    (["a", "b"], {"a": " x", "b": "x"}, "'a' and 'b' have the same verbalisation 'x'"),
    (["a", "b"], {"a": " ", "b": "x"}, "the verbalisation of 'a' is empty"),
    (["a", "b"], ["a", "b", "a"], "the label 'a' is there twice"),
    ([0, 1], [0, "0", 1], "the label '0' is there twice"),
    (["a", None], None, "split 'train', column 'label', row 1: the label is missing"),
    (["a", " a"], None, "have the same verbalisation 'a'"),
]


@pytest.mark.parametrize(("train", "given", "message"), REFUSED, ids=[case[2] for case in REFUSED])
def test_labels_that_make_no_sense_are_refused(tmp_path: Path, train: list[Any], given: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        labels_of(tmp_path, train, given)
    assert message in str(caught.value)


def test_a_label_that_only_the_test_split_has_is_told_with_its_row(tmp_path: Path) -> None:
    write_dataset(tmp_path, [{"text": "x", "label": "a"}], [{"text": "y", "label": "a"}, {"text": "z", "label": "?"}])
    with pytest.raises(DataError, match=r"split 'test', column 'label', row 1: '\?' is not among the labels \(a\)"):
        load_task(make_config(dataset={"path": str(tmp_path)}))


@pytest.fixture
def class_label_folder(tmp_path: Path) -> Path:
    """A saved data set whose label column is a ClassLabel; the train split holds only one of its labels."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["zeta", "alpha", "1"])}
    )
    splits = {"train": [1, 1], "test": [0, 2]}
    saved = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_list(
                [{"text": f"{name} {i}", "label": label} for i, label in enumerate(values)], features=features
            )
            for name, values in splits.items()
        }
    )
    saved.save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


# (dataset.labels, expected names, expected verbalisations); "1" is a name here, not the number of "alpha".
CLASS_LABEL: list[tuple[Any, tuple[str, ...], tuple[str, ...]]] = [
    (None, ("zeta", "alpha", "1"), ("zeta", "alpha", "1")),
    (["alpha", "zeta", "1"], ("alpha", "zeta", "1"), ("alpha", "zeta", "1")),
    ({"0": " z", "alpha": " a", "2": " one"}, ("zeta", "alpha", "1"), (" z", " a", " one")),
]


@pytest.mark.parametrize(("given", "names", "verbalisations"), CLASS_LABEL, ids=str)
def test_the_names_of_a_class_label_column_are_its_labels(
    class_label_folder: Path, given: Any, names: tuple[str, ...], verbalisations: tuple[str, ...]
) -> None:
    task = load_task(make_config(dataset={"path": str(class_label_folder), "labels": given}))
    assert task.labels == LabelSet(names, verbalisations)
    assert [names[example.label] for example in task.train if example.label is not None] == ["alpha", "alpha"]
    assert [names[example.label] for example in task.test if example.label is not None] == ["zeta", "1"]


def test_one_class_label_named_by_name_and_by_number_is_refused(class_label_folder: Path) -> None:
    with pytest.raises(DataError, match="the label 'zeta' is there twice"):
        load_task(make_config(dataset={"path": str(class_label_folder), "labels": ["zeta", "0", "alpha", "1"]}))
