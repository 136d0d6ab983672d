"""lm-eval 0.4.13, run by the commands of an exported README, answers as `sft evaluate` does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.pipeline.endpoints import evaluate, train
from sft.records import read_items
from tests.lm_eval_runs import HarnessResult, run_command
from tests.tiny_runs import tiny_run

pytest.importorskip("lm_eval", reason="lm_eval is not installed")
from sft.lm_eval.export import export_lm_eval

CANDIDATES = [
    {"text": f"question {i}", "a": "one", "b": "number two", "c": "three" if i % 2 else None, "label": "a"}
    for i in range(8)
]
MULTIPLE_CHOICE = {
    "dataset": {"task_type": "multiple_choice"},
    "prompting": {"candidate_columns": ["a", "b", "c"]},
    "inference": {"score_normalization": "bytes"},
    "train": CANDIDATES[:4],
    "test": CANDIDATES[4:],
}
# One label begins another, so that the end of the turn is scored in the plain format too.
BEGINNINGS = [{"text": f"message {i} {label}", "label": label} for i in range(4) for label in ("card", "card lost")]


class Case(NamedTuple):
    """extra: whether the harness scores tokens of the prompt with every choice."""

    sections: dict[str, Any]
    metric: str = "acc"
    extra: bool = False


CHAT = {"chat": True, "prompting": {"instruction": "Judge the message."}, "inference": {"icl_examples": 1}}
TWO_LINES = {"format": "plain", "template": "Text: {text}\nLabel:\n"}
CASES = {
    "a chat with examples": Case(CHAT, extra=True),
    "a label that begins another": Case({"train": BEGINNINGS[:4], "test": BEGINNINGS[4:]}),
    "mean by characters": Case({"inference": {"score_normalization": "characters"}}, "acc_norm"),
    "a template that ends in a line end": Case({"prompting": TWO_LINES}, extra=True),
    "some test rows, cut": Case({"dataset": {"max_n_test": 3}, "inference": {"max_seq_length": 40}}),
    "candidates of each row": Case(MULTIPLE_CHOICE, "acc_bytes"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with a tiny model, plain and chat, and an adapter trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    for chat in (False, True):
        output = str(folder / f"adapter{'-chat' if chat else ''}")
        train(tiny_run(folder, chat=chat, trainer_args={"output_dir": output, "max_steps": 2}))
    return folder


def configured(trained: Path, folder: Path, case: Case) -> tuple[ExperimentConfig, str]:
    """A config that uses the trained model, and the adapter's folder."""
    end = "-chat" if case.sections.get("chat") else ""
    shutil.copytree(trained / f"llama{end}", folder / f"llama{end}")
    return tiny_run(folder, **case.sections), str(trained / f"adapter{end}")


@pytest.mark.parametrize("name", CASES)
def test_accuracy_and_predictions_are_the_same(
    name: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    config, adapter = configured(trained, tmp_path, case)
    made = export_lm_eval(config, tmp_path / "task", checkpoint=adapter)
    run = evaluate(config, tmp_path / "results", checkpoint=adapter)
    assert made.command is not None
    found = run_command(made.command, made.folder, monkeypatch)
    items = sorted(read_items(run.folder), key=lambda item: item["row"])
    assert made.rows == len(found.samples) == len(items) > 2
    assert made.metric == case.metric
    assert found.metrics[f"{case.metric},none"] == pytest.approx(run.record.results["accuracy"])
    assert [sample["doc"]["row"] for sample in found.samples] == [item["row"] for item in items]
    compare(found, items, case)


def compare(found: HarnessResult, items: list[dict[str, Any]], case: Case) -> None:
    """Scores differ at most by what all choices of a row have in common."""
    apart = []
    for theirs, item in zip(found.log_likelihoods, items, strict=True):
        difference = np.array(item["scores"]) - np.array(theirs)
        assert np.ptp(difference) < 1e-4
        apart.append(abs(difference[0]) > 1e-3)
    assert all(apart) == case.extra
    if case.metric == "acc":
        predicted = [int(np.argmax(row)) for row in found.log_likelihoods]
        assert predicted == [int(np.argmax(item["probabilities"])) for item in items]


def test_the_model_of_sft_runs_the_task_from_the_exported_config(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, adapter = configured(trained, tmp_path, CASES["a chat with examples"])
    made = export_lm_eval(config, tmp_path / "task", checkpoint=adapter)
    assert made.own_command in (made.folder / "README.md").read_text(encoding="utf-8")
    run = evaluate(config, tmp_path / "results", checkpoint=adapter)
    found = run_command(made.own_command, made.folder, monkeypatch)
    assert found.metrics["acc,none"] == pytest.approx(run.record.results["accuracy"])
    compare(found, sorted(read_items(run.folder), key=lambda item: item["row"]), CASES["a chat with examples"])
