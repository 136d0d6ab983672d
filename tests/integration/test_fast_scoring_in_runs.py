"""Every endpoint scores by the fast engine and gets what the plain one gives: columns, examples, cut prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sft
from sft.config.load import NamedConfig
from sft.pipeline.endpoints import Run, evaluate, run_experiment
from sft.pipeline.predict import predict
from sft.records import read_items
from tests.fakes import LABELS
from tests.tiny_runs import tiny_run

COLUMNS = {"input_columns": ["text", "source"], "instruction": "Say which."}


def rows(per_label: int, prefix: str) -> list[dict[str, Any]]:
    """Texts of quite different lengths."""
    return [
        {"text": f"{prefix} message {i} {'and more ' * (i % 4)}", "source": f"letter {i % 2}", "label": label}
        for i in range(per_label)
        for label in LABELS
    ]


def config(folder: Path, scorer: str, **sections: Any) -> sft.ExperimentConfig:
    inference = {"scorer": scorer, "icl_examples": 1, **sections.pop("inference", {})}
    return tiny_run(folder, train=rows(4, "a"), test=rows(5, "the"), prompting=COLUMNS, inference=inference, **sections)


def scores(run: Run) -> np.ndarray:
    return np.array([item["scores"] for item in read_items(run.folder)])


def engine(run: Run) -> str:
    return str(run.record.inference["scorer"]["engine"])


@pytest.mark.parametrize("limit", [None, 120], ids=["whole prompts", "cut prompts"])
@pytest.mark.parametrize("sampling", ["fixed", "per_prompt"])
@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_evaluate(chat: bool, sampling: str, limit: int | None, tmp_path: Path) -> None:
    by = {}
    for scorer in ("auto", "naive"):
        made = config(tmp_path, scorer, chat=chat, inference={"max_seq_length": limit})
        prompting = made.prompting.model_copy(update={"icl_sampling": sampling})
        by[scorer] = evaluate(made.model_copy(update={"prompting": prompting}), tmp_path / scorer)
    assert engine(by["auto"]) == "tree"
    assert engine(by["naive"]) == "naive"
    cut = by["auto"].record.inference["truncation"]["examples_dropped"]
    assert (cut > 0) == (limit is not None)
    np.testing.assert_allclose(scores(by["auto"]), scores(by["naive"]), atol=1e-4, rtol=0)
    assert by["auto"].record.run_id == by["naive"].record.run_id


def test_a_run_that_trains_and_a_sweep(tmp_path: Path) -> None:
    named = {scorer: config(tmp_path, scorer, dataset={"shots": 2}) for scorer in ("auto", "naive")}
    runs = {scorer: run_experiment(named[scorer], tmp_path / scorer) for scorer in named}
    assert engine(runs["auto"]) == "tree"
    np.testing.assert_allclose(scores(runs["auto"]), scores(runs["naive"]), atol=1e-4, rtol=0)
    sweep = sft.run_experiments([NamedConfig("only", named["auto"])], tmp_path / "sweep")
    (outcome,) = sweep.outcomes
    assert outcome.record.inference["scorer"]["engine"] == "tree"
    np.testing.assert_allclose(
        [item["scores"] for item in read_items(outcome.folder)], scores(runs["auto"]), atol=1e-4, rtol=0
    )


def test_predict(tmp_path: Path) -> None:
    tables = [
        pd.read_csv(predict(config(tmp_path, scorer), tmp_path / f"{scorer}.tsv"), sep="\t")
        for scorer in ("auto", "naive")
    ]
    pd.testing.assert_frame_equal(*tables, atol=1e-5, rtol=0)
