"""`sft init` on files as people have them: what it writes is loaded by the other commands."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sft.api import load_config, load_configs
from sft.data.load import load_task
from tests.e2e.conftest import Ended
from tests.fakes import labelled_rows, write_dataset, write_jsonl

Sft = Callable[..., Ended]
GOOD, BAD = "إيجابي", "سلبي"
TEXT, LABEL = "نص المراجعة ", "فئة"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def messy_rows() -> list[dict[str, Any]]:
    """60 reviews; of them 4 without a label, 3 without a text, 2 twice, and labels with white space."""
    rows = []
    for i in range(60):
        label = GOOD if i % 3 else BAD
        rows.append({"": i, "رقم": f"R-{7 * i}", TEXT: f"وصل الطلب {i} بعد أيام", "Date": "2024-01-02", LABEL: label})
    for i in range(4):
        rows[i][LABEL] = " "
    for i in range(4, 7):
        rows[i][TEXT] = ""
    rows[10][LABEL] += " "
    return [*rows, rows[20], rows[21]]


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], **form: Any) -> Path:
    rows = list(rows)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **form)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_one_messy_csv_becomes_a_config_that_runs_on_mended_rows(here: Path, sft: Sft, delimiter: str) -> None:
    write_csv(here / "my reviews.csv", messy_rows(), delimiter=delimiter)
    ended = sft("init", "my reviews.csv", "--yes")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == ["config-data/train.jsonl", "config-data/test.jsonl", "config.jsonnet"]
    for told in ("are left out: 4\n", "are left out: 3\n", "which is removed: 1\n", f"answer: {LABEL}"):
        assert told in ended.err
    config = load_config("config.jsonnet", endpoint="run-experiment")
    assert load_config("config.jsonnet", endpoint="train") == config
    assert (config.prompting.input_columns, config.prompting.output_column) == ([TEXT], LABEL)
    assert config.dataset.labels == {GOOD: GOOD, BAD: BAD}
    task = load_task(config)
    assert len(task.train) + len(task.test) == 62 - 4 - 3
    assert task.duplicates == 0
    # two thirds of the rows are good: on both sides, and in the same share
    tested = Counter(example.label for example in task.test)
    assert sorted(tested.values()) == [4, 7]


def test_a_data_set_with_both_splits_is_used_as_it_is(here: Path, sft: Sft) -> None:
    write_dataset(here / "data")
    ended = sft("init", "data", "--yes", "-q", "-o", "made/config.json")
    assert (ended.code, ended.out, ended.err) == (0, "made/config.json\n", "")
    value = json.loads((here / "made" / "config.json").read_text())
    assert value["dataset"]["path"] == "data"
    assert value["prompting"]["instruction"] == "Classify the text as negative, neutral or positive."
    assert value["training"]["trainer_args"]["output_dir"] == "outputs/config"


def test_options_decide(here: Path, sft: Sft) -> None:
    write_jsonl(here / "all.jsonl", [{**row, "lang": "en", "stars": len(row["label"])} for row in labelled_rows(8)])
    ended = sft(
        *("init", "all.jsonl", "--output-column", "stars", "--input-column", "label", "--input-column", "text"),
        *("--task-type", "classification", "--label", "8=bad or good", "--label", "7=so so", "--split", "0.5"),
        *("--model", "a/model", "--method", "icl", "--shots", "3", "--instruction", "Judge."),
    )
    assert ended.code == 0, ended.err
    config = load_config("config.jsonnet", endpoint="run-experiment")
    assert config.dataset.labels == {"8": "bad or good", "7": "so so"}
    assert (config.model.name, config.prompting.instruction) == ("a/model", "Judge.")
    assert config.prompting.input_columns == ["label", "text"]
    assert (config.dataset.shots, config.inference_or_default.icl_examples) == (0, 3)
    assert len(load_task(config).test) == 12


def test_a_sweep_compares_the_methods(here: Path, sft: Sft) -> None:
    write_dataset(here / "data")
    assert sft("init", "data", "--yes", "--sweep", "-o", "sweep.jsonnet", "--shots", "2").code == 0
    configs = dict(load_configs("sweep.jsonnet"))
    assert Counter(name.split()[0] for name in configs) == {"lora": 3, "icl": 3, "zero-shot": 1}
    assert configs["lora seed=14"].dataset.shots == 2
    assert configs["icl seed=15"].inference_or_default.icl_examples == 2
    assert configs["zero-shot seed=13"].dataset.shots == 0


# rows of one file → what the config must say
OTHER_TASKS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "generation": (
        [{"question": f"what is {i} plus one?", "answer": f"it is {i + 1}, surely"} for i in range(10)],
        {"task_type": "generation", "output_column": "answer", "input_columns": ["question"]},
    ),
    "multi-label": (
        [{"text": f"a thing numbered {i}", "tags": ["x, y", "y, z", "", "z"][i % 4]} for i in range(24)],
        {"task_type": "multilabel", "output_column": "tags", "label_separator": ","},
    ),
    "multiple choice": (
        [{"question": f"which is {i}?", "A": f"a{i}", "B": f"b{i}", "answer": "AB"[i % 2]} for i in range(10)],
        {"task_type": "multiple_choice", "output_column": "answer", "candidate_columns": ["A", "B"]},
    ),
    "true and false": (
        [{"body": f"a letter numbered {i}", "spam": i % 2 == 0} for i in range(10)],
        {"task_type": "classification", "labels": {"false": "no", "true": "yes"}},
    ),
}


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_every_task_type_is_told_from_the_rows(here: Path, sft: Sft, task: str) -> None:
    rows, expected = OTHER_TASKS[task]
    write_jsonl(here / "all.jsonl", rows)
    ended = sft("init", "all.jsonl", "--yes")
    assert ended.code == 0, ended.err
    config = load_config("config.jsonnet", endpoint="run-experiment")
    found = {**config.dataset.model_dump(), **config.prompting.model_dump()}
    assert {name: found[name] for name in expected} == expected


def test_a_test_split_without_answers_is_none(here: Path, sft: Sft) -> None:
    unanswered = [{**row, "label": None} for row in labelled_rows(2, prefix="unseen ")]
    write_dataset(here / "data", train=labelled_rows(8), test=unanswered)
    write_jsonl(here / "data" / "dev.jsonl", labelled_rows(1, prefix="dev "))
    ended = sft("init", "data", "--yes")
    assert "the validation split is used for testing" in ended.err
    task = load_task(load_config("config.jsonnet"))
    assert [example.inputs["text"][:3] for example in task.test] == ["dev"] * 3
    (here / "data" / "dev.jsonl").unlink()
    ended = sft("init", "data", "--yes", "--force", "--split", "0.25")
    assert "6 of 24 rows are held out" in ended.err


def test_a_file_of_another_encoding_is_refused_and_read_where_it_is_named(here: Path, sft: Sft) -> None:
    rows = [f"{TEXT.strip()} {i};{GOOD if i % 2 else BAD}" for i in range(12)]
    (here / "reviews.csv").write_text("\n".join(["review;label", *rows]), encoding="cp1256")
    ended = sft("init", "reviews.csv", "--yes")
    assert ended.code == 2
    assert "reviews.csv is not in UTF-8" in ended.err
    assert sft("init", "reviews.csv", "--yes", "--dataset-arg", "encoding=cp1256").code == 0
    assert load_config("config.jsonnet").dataset.labels == {GOOD: GOOD, BAD: BAD}


def test_labels_that_differ_in_case_only_are_told(here: Path, sft: Sft) -> None:
    write_jsonl(here / "all.jsonl", [*labelled_rows(4), {"text": "one more", "label": "Neutral"}])
    assert "'Neutral' and 'neutral' differ in case only" in sft("init", "all.jsonl", "--yes").err


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "there already": (["data", "--yes"], ["config.jsonnet: there already", "--force"]),
    "no such file": (["no.csv", "--yes"], ["no file or folder 'no.csv'"]),
    "no data set": (["--yes"], ["Data set", "give DATA"]),
    "nobody to ask": (["data", "-o", "b.json"], ["Column that holds the answer?", "--output-column", "--yes"]),
    "unknown column": (["data", "--output-column", "lable", "-y"], ["no column 'lable'", "did you mean 'label'?"]),
    "unknown label": (["data", "-y", "-o", "b.json", "--label", "good=x"], ["--label: 'good' is no value", "negative"]),
    "unknown method": (["data", "-y", "-o", "b.json", "--method", "lorra"], ["unknown method 'lorra'", "'lora'"]),
    "unknown task": (["data", "-y", "--task-type", "regression"], ["'regression'", "classification"]),
    "sweep as JSON": (["data", "-y", "--sweep", "-o", "b.json"], ["--sweep is written as JSONNET"]),
    "another ending": (["data", "-y", "-o", "b.yaml"], ["neither .jsonnet nor .json"]),
    "argument without a value": (["data", "-y", "--dataset-arg", "x"], ["--dataset-arg 'x'", "NAME=VALUE"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_message_and_nothing_is_written(here: Path, sft: Sft, case: str) -> None:
    arguments, parts = REFUSED[case]
    write_dataset(here / "data")
    (here / "config.jsonnet").write_text("kept")
    ended = sft("init", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    for part in parts:
        assert part in ended.err
    assert (here / "config.jsonnet").read_text() == "kept"
    assert sorted(path.name for path in here.iterdir()) == ["config.jsonnet", "data"]


def test_nothing_is_left_of_a_config_whose_data_cannot_be_used(here: Path, sft: Sft) -> None:
    rows = [{"question": f"which is {i}?", "A": f"a{i}", "B": f"b{i}", "answer": "ABZ"[i % 3]} for i in range(12)]
    write_jsonl(here / "all.jsonl", rows)
    ended = sft("init", "all.jsonl", "--yes")
    assert ended.code == 2
    assert "means none of the row's candidates" in ended.err
    assert [path.name for path in here.iterdir() if path.is_file()] == ["all.jsonl"]
    assert not list(here.rglob("*train*"))
    write_jsonl(here / "all.jsonl", [{**row, "answer": "AB"[i % 2]} for i, row in enumerate(rows)])
    assert sft("init", "all.jsonl", "--yes").code == 0
    before = {path: path.read_bytes() for path in (here / "config-data").iterdir()}
    write_jsonl(here / "all.jsonl", rows)
    assert sft("init", "all.jsonl", "--yes", "--force").code == 2
    assert {path: path.read_bytes() for path in (here / "config-data").iterdir()} == before


def test_a_person_at_a_terminal_is_asked_and_asked_again(here: Path) -> None:
    write_dataset(here / "data")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sft.cli", "init", "data", "--model", "a/model"]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    # no such column; its number; as suggested; as suggested; a method; as suggested
    os.write(ours, b"lable\n2\n\n1\nlora\n\n")
    printed, _ = process.communicate(timeout=60)
    asked = os.read(ours, 10_000).decode()
    assert process.returncode == 0, asked
    assert printed == "config.jsonnet\n"
    assert "did you mean 'label'?" in asked
    assert load_config("config.jsonnet").prompting.input_columns == ["text"]


def test_a_place_that_cannot_be_written_to_is_named(here: Path, sft: Sft) -> None:
    write_csv(here / "reviews.csv", messy_rows())
    (here / "file").write_text("in the way")
    ended = sft("init", "reviews.csv", "--yes", "-o", "file/my.jsonnet")
    assert ended.code == 2
    assert "error: --out 'file/my.jsonnet': can't be written" in ended.err
