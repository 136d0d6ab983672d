"""Checks of prompts: the format and why, how prompts begin and end, what is shown, what limits cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from sft.doctor import Setting, diagnose
from sft.doctor.case import Case, Shared
from sft.doctor.stages import AT_MOST, rows_at_most, sample
from sft.models.source import find_model
from sft.pipeline.endpoints import train
from sft.pipeline.model import load, train_on_pool
from sft.pipeline.prepare import prepare
from sft.prompting.marked import MarkedPiece
from sft.training.arguments import trainer_config
from tests.doctor import diagnosed, levels, the_one
from tests.fakes import CHATML, IM_END, byte_tokenizer, labelled_rows, make_config, make_examples, write_dataset
from tests.real_tokenizers import NO_ASSETS, TOKENIZERS
from tests.tiny_models import save_tiny_model
from tests.tiny_runs import tiny_run

EVALUATE = Setting("evaluate")
# Small ones: with and without a system role, with a BOS in the template and without.
SOME_TOKENIZERS = [name for name in TOKENIZERS if name.startswith(("mistral", "phi3", "smollm2"))] or [NO_ASSETS]


def with_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """The tiny model of a folder gets this tokenizer."""
    save_tiny_model(folder / "llama")
    tokenizer.save_pretrained(folder / "llama")


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"chat": True}, "chat format: the tokenizer has a template"),
        ({}, "plain format: the tokenizer has no chat template"),
        ({"chat": True, "prompting": {"format": "plain"}}, "plain format: prompting.format is 'plain'"),
    ],
)
def test_the_format_is_told_with_its_reason(sections: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in [each.message for each in diagnosed(tmp_path, **sections).of("chat_template")]


def test_a_borrowed_template_is_told_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(CHATML, encoding="utf-8")
    diagnosis = diagnosed(tmp_path, model={"chat_template_from": str(tmp_path / "own.jinja")})
    assert any("borrowed from" in each.message for each in diagnosis.of("chat_template"))
    found = the_one(diagnosed(tmp_path, prompting={"format": "chat"}), "chat_template", "error")
    assert "has no chat template" in found.message


def bos_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """One that begins texts with `<s>`."""
    tokenizer = byte_tokenizer(special_tokens=["<s>"])
    tokenizer.bos_token, tokenizer.chat_template = "<s>", template
    ids = [("<s>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<s> $A", "<s> $A $B", ids)
    return tokenizer


@pytest.mark.parametrize(
    ("template", "borrowed", "warning"),
    [
        (f"<s>{CHATML}", False, None),
        (f"<s><s>{CHATML}", False, "prompts begin with 2 <s>: a model was trained with one"),
        (CHATML, False, None),
        (f"<s>{CHATML}", True, None),
        (CHATML, True, "the tokenizer begins texts with <s>, and the borrowed chat template doesn't write it"),
    ],
)
def test_a_doubled_beginning_or_one_that_a_borrowed_template_lacks_is_a_warning(
    template: str, borrowed: bool, warning: str | None, tmp_path: Path
) -> None:
    with_tokenizer(tmp_path, bos_tokenizer(template))
    (tmp_path / "own.jinja").write_text(template, encoding="utf-8")
    model = {"chat_template_from": str(tmp_path / "own.jinja")} if borrowed else {}
    found = diagnosed(tmp_path, model=model).of("chat_template")
    assert [each.message for each in found if each.level == "warn"] == ([] if warning is None else [warning])


@pytest.mark.parametrize("name", SOME_TOKENIZERS)
def test_templates_of_real_models_give_no_warning(name: str, assets: Path, tmp_path: Path) -> None:
    config = make_config(
        dataset={"path": str(write_dataset(tmp_path)), "shots": 0},
        model={"name": str(tmp_path / "model")},
        prompting={"instruction": "Say how it feels."},
    )
    save_tiny_model(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
    for file in (assets / "tokenizers" / name).iterdir():
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    diagnosis = diagnose(config)
    assert levels(diagnosis, "chat_template") == {"ok"}
    assert levels(diagnosis, "prompts") == {"ok"}


def test_the_end_of_the_turn_is_told_and_prompts_in_the_loss_are_a_warning(tmp_path: Path) -> None:
    sound = diagnosed(tmp_path, chat=True)
    assert sound.of("chat_template")[1].details["end"] == IM_END
    diagnosis = diagnosed(tmp_path, chat=True, trainer_args={"completion_only_loss": False})
    assert "completion_only_loss" in the_one(diagnosis, "chat_template", "warn").message
    shown = the_one(diagnosis, "prompts", "ok").details["prompts"][0]
    assert [piece["in_loss"] for piece in shown["pieces"]].count(False) == 1


def test_training_sequences_are_shown_with_special_tokens_and_the_loss(tmp_path: Path) -> None:
    shown = the_one(diagnosed(tmp_path, chat=True), "prompts", "ok").details["prompts"]
    assert len(shown) == 3
    pieces = [MarkedPiece(**piece) for piece in shown[0]["pieces"]]
    assert pieces[0] == MarkedPiece("<|im_start|>", special=True, in_loss=False)
    *_, before, answer, end = pieces
    assert before.text.endswith("assistant\n")
    assert answer.text in ("negative", "neutral", "positive")
    assert answer.in_loss
    assert end == MarkedPiece(IM_END, special=True, in_loss=True)
    assert not any(piece.in_loss for piece in pieces[:-2])


def test_the_prompts_shown_are_those_that_are_trained_on(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, chat=True, training={"icl_examples": 1}, trainer_args={"max_length": 120})
    shown = the_one(diagnose(config), "prompts", "ok").details["prompts"]
    prepared = prepare(config)
    loaded = load(prepared.config, find_model(config.model))
    args = trainer_config(prepared.config, tmp_path / "out", keep_checkpoints=False)
    trained = train_on_pool(prepared, loaded, args)
    assert trained.prompts["truncation"]["examples_dropped"] > 0
    cut = the_one(diagnose(config), "truncation", "warn").details
    assert {key: cut[key] for key in trained.prompts["truncation"]} == trained.prompts["truncation"]
    assert shown[0]["tokens"] <= 120


def test_without_training_test_prompts_are_shown_with_the_answers_that_are_scored(tmp_path: Path) -> None:
    shown = the_one(diagnosed(tmp_path, EVALUATE), "prompts", "ok").details["prompts"]
    assert [each["stage"] for each in shown] == ["inference"] * 3
    assert shown[0]["answers"] == [" negative", " neutral", " positive"]
    assert shown[0]["pieces"][0]["text"].endswith("unseen message 0 is negative\nLabel:")
    generated = diagnosed(tmp_path, EVALUATE, inference={"method": "generate"})
    assert the_one(generated, "prompts", "ok").details["prompts"][0]["answers"] == []


def test_a_limit_that_cuts_is_a_warning_with_the_shares_of_rows_and_tokens(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, EVALUATE, inference={"max_seq_length": 45})
    found = the_one(diagnosis, "truncation", "warn")
    # Prompt and answer of a row have 41 + 10 tokens at most: `unseen message 0 is negative`.
    whole = diagnosed(tmp_path, EVALUATE).of("prompts")[0].details["prompts"]
    assert found.details["prompts_with_shortened_input"] == 6
    assert found.details["tokens_cut"] >= 6 * (whole[0]["tokens"] + 10 - 45 - 2)
    assert "100% of the prompts" in found.message
    assert "max_seq_length" in str(found.fix)


def test_the_positions_that_a_trained_adapter_takes_are_left_to_it(tmp_path: Path) -> None:
    adapter = {"method": "prompt_tuning", "args": {"num_virtual_tokens": 7}}
    config = tiny_run(tmp_path, lora=None, adapter=adapter, trainer_args={"output_dir": str(tmp_path / "adapter")})
    without = Case(config, Setting("evaluate"), Shared()).inference_stage.limit
    trained = Case(config, Setting("evaluate", str(train(config).folder)), Shared()).inference_stage.limit
    assert (without, trained) == (512, 512 - 7)


def test_rows_for_which_no_prompt_fits_are_an_error_that_names_them(tmp_path: Path) -> None:
    test = [*labelled_rows(1, prefix="unseen "), {"text": "fine", "label": "neutral"}]
    candidates = [{"text": row["text"], "a": "yes", "b": "no " * (40 if i == 2 else 1), "right": "yes"} for i, row in
                  enumerate(test)]  # fmt: skip
    diagnosis = diagnosed(
        tmp_path,
        EVALUATE,
        train=candidates[:2],
        test=candidates,
        dataset={"task_type": "multiple_choice", "shots": 0},
        prompting={"candidate_columns": ["a", "b"], "output_column": "right"},
        inference={"max_seq_length": 60},
    )
    found = the_one(diagnosis, "truncation", "error")
    assert found.details["refused"] == [2]
    assert "e.g. row 2" in found.message
    assert levels(diagnosis, "prompts") == {"ok"}


def test_each_column_that_is_cut_is_a_warning_with_its_rows_and_tokens(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, EVALUATE, prompting={"max_input_length": 27})
    found = the_one(diagnosis, "truncation", "warn")
    # `unseen message 0 is negative` has 28 bytes, `… is neutral` 27, `… is positive` 28.
    assert (found.details["column"], found.details["rows"], found.details["tokens"]) == ("text", 4, 4)


def test_outputs_that_are_cut_are_a_warning(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, dataset={"task_type": "generation"}, prompting={"max_output_length": 7})
    assert "max_output_length cuts" in the_one(diagnosis, "truncation", "warn").message


def test_of_many_rows_a_sample_is_looked_at_with_the_longest_among_them() -> None:
    rows = make_examples([0] * (3 * AT_MOST))
    longest = rows[7]
    object.__setattr__(longest, "inputs", {"text": "long " * 100})
    chosen = sample(rows)
    assert len(chosen) <= AT_MOST
    assert longest in chosen
    assert [row.row for row in chosen] == sorted({row.row for row in chosen})
    assert max(b.row - a.row for a, b in pairwise(chosen)) <= 4
    assert sample(rows[:AT_MOST]) == rows[:AT_MOST]


@pytest.mark.parametrize(("labels", "rows"), [(0, 1000), (20, 1000), (77, 259), (5000, 200)])
def test_the_more_labels_there_are_the_fewer_rows_are_looked_at(labels: int, rows: int) -> None:
    assert rows_at_most(labels) == rows
    assert len(sample(make_examples([0] * (3 * AT_MOST)), rows)) == pytest.approx(rows, abs=rows // 20)
