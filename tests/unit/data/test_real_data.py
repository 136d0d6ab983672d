"""The real data sets load with the numbers of rows, labels and duplicates that their README states."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from sft.data.load import load_task
from tests.fakes import make_config


class Stated(NamedTuple):
    """A row of the table in data/README.md; labels is None for tasks without a fixed set."""

    train: int
    test: int
    labels: int | None
    in_both: int


# data set → task type, input columns, output column
TASKS: dict[str, tuple[str, list[str], str]] = {
    "tweet_eval_emotion": ("classification", ["text"], "label"),
    "tweet_eval_sentiment": ("classification", ["text"], "label"),
    "banking77": ("classification", ["text"], "label"),
    "sst2": ("classification", ["text"], "label"),
    "trec": ("classification", ["text"], "label"),
    "umsab_es_sentiment": ("classification", ["text"], "label"),
    "sick_nli": ("classification", ["premise", "hypothesis"], "label"),
    "sciq": ("classification", ["question", "A", "B", "C", "D"], "label"),
    "e2e_nlg": ("generation", ["mr"], "ref"),
    "restaurant8k": ("generation", ["text", "context"], "json"),
}


@pytest.fixture(scope="module")
def stated(assets: Path) -> dict[str, Stated]:
    text = (assets / "data" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+|-) \| [\d.]+ \| (\d+) \|", text, re.MULTILINE)
    return {name: Stated(int(a), int(b), None if n == "-" else int(n), int(both)) for name, a, b, n, both in rows}


def test_the_readme_states_numbers_for_every_task_tried(stated: dict[str, Stated]) -> None:
    assert stated.keys() >= TASKS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_a_real_data_set_has_the_stated_rows_labels_and_duplicates(
    assets: Path, stated: dict[str, Stated], name: str
) -> None:
    task_type, inputs, output = TASKS[name]
    folder = str(assets / "data" / name)
    config = make_config(
        dataset={"path": folder, "task_type": task_type, "deduplicate": False},
        prompting={"input_columns": inputs, "output_column": output},
    )
    task = load_task(config)
    labels = None if task.labels is None else len(task.labels)
    # The table counts distinct inputs, a run counts the training rows that have them.
    train, test = ([tuple(e.inputs.values()) for e in split] for split in (task.train, task.test))
    shared = set(train) & set(test)
    assert Stated(len(train), len(test), labels, len(shared)) == stated[name]
    assert task.duplicates == sum(inputs in shared for inputs in train)
