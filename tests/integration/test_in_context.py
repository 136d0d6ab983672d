"""In-context examples of a run: rows of its own pool, the same order for every test row, as plain text before it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft.pipeline.endpoints import evaluate
from sft.records import read_items
from tests.fakes import LABELS, labelled_rows
from tests.tiny_runs import tiny_run

TRAIN = labelled_rows(5)
TEST = labelled_rows(1, prefix="unseen ")


def scores_of(base: str, prompts: list[str]) -> np.ndarray:
    """log p(" " + label | prompt) of each label, one full forward each, with transformers alone."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    rows = []
    for prompt in prompts:
        row = []
        for label in LABELS:
            ids = tokenizer(prompt + " " + label, add_special_tokens=False)["input_ids"]
            start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
            with torch.no_grad():
                log_probs = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
            row.append(sum(log_probs[i - 1, ids[i]].item() for i in range(start, len(ids))))
        rows.append(row)
    return np.array(rows)


def prompt(shown: tuple[dict[str, Any], ...], text: str) -> str:
    """The documented default: `Text: …` and `Label: …` lines, examples apart by an empty line."""
    before = "".join(f"Text: {row['text']}\nLabel: {row['label']}\n\n" for row in shown)
    return f"Say which.\n\n{before}Text: {text}\nLabel:"


@pytest.mark.parametrize("shots", [0, 1], ids=["the pool is the examples", "the pool is the shots"])
def test_every_test_row_is_scored_after_the_pool_in_one_order(shots: int, tmp_path: Path) -> None:
    config = tiny_run(
        tmp_path,
        train=TRAIN,
        test=TEST,
        dataset={"shots": shots},
        inference={"icl_examples": 1},
        prompting={"instruction": "Say which."},
    )
    run = evaluate(config, tmp_path / "results")
    assert run.record.counts["label_budget"] == dict.fromkeys(LABELS, 1)
    pool = [TRAIN[row] for row in run.record.data["pool_row_numbers"]]
    assert sorted(row["label"] for row in pool) == sorted(LABELS)
    have = np.array([item["scores"] for item in read_items(run.folder)])
    by_order = {
        order: scores_of(str(config.model.name), [prompt(order_rows, row["text"]) for row in TEST])
        for order in itertools.permutations(range(3))
        for order_rows in [tuple(pool[i] for i in order)]
    }
    fits = [order for order, want in by_order.items() if np.abs(have - want).max() < 1e-4]
    assert len(fits) == 1, "the prompts aren't the pool in one order"


def test_without_examples_the_prompt_is_the_query_alone(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, train=TRAIN, test=TEST, prompting={"instruction": "Say which."})
    have = np.array([item["scores"] for item in read_items(evaluate(config, tmp_path / "results").folder)])
    want = scores_of(str(config.model.name), [prompt((), row["text"]) for row in TEST])
    np.testing.assert_allclose(have, want, atol=1e-4)


def test_fewer_rows_than_asked_for_are_all_used_with_a_warning_that_names_the_label(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, train=TRAIN, test=TEST, dataset={"shots": 2}, inference={"icl_examples": 3})
    record = evaluate(config, tmp_path / "results").record
    assert record.inference["in_context_examples"] == dict.fromkeys(LABELS, 2)
    assert [w for w in record.warnings if "neutral" in w and "3 asked for" in w]
