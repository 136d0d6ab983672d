"""Checks of rows and labels: what they say of sound data and of each thing that can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers

from tests.doctor import diagnosed, levels, the_one
from tests.fakes import LABELS, byte_tokenizer, labelled_rows
from tests.tiny_models import save_tiny_model


def test_rows_are_counted_as_runs_count_them(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path), "data", "ok")
    assert found.details["label_budget"] == dict.fromkeys(LABELS, 2)
    assert found.message == "the run may learn from 6 of 12 training rows, and answers 6 of 6 test rows"


def test_too_few_shots_of_a_label_are_a_warning_and_none_an_error(tmp_path: Path) -> None:
    few = [row for i, row in enumerate(labelled_rows(4)) if row["label"] != "neutral" or i < 3]
    found = the_one(diagnosed(tmp_path, train=few), "data", "warn")
    assert "neutral (1)" in found.message
    none = [row for row in few if row["label"] != "neutral"]
    diagnosis = diagnosed(tmp_path, train=none, dataset={"labels": list(LABELS)})
    assert "'neutral' has no training example" in the_one(diagnosis, "data", "error").message


def test_a_label_that_the_config_lacks_is_an_error_and_one_that_the_data_lacks_a_warning(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, dataset={"labels": ["negative", "neutral"]})
    assert "'positive' is not among the labels" in the_one(diagnosis, "data", "error").message
    diagnosis = diagnosed(tmp_path, dataset={"labels": [*LABELS, "mixed"], "shots": 0})
    warned = [each.message for each in diagnosis.of("labels") if each.level == "warn"]
    assert len(warned) == 2
    assert all("'mixed'" in message for message in warned)


def test_labels_with_a_common_first_token_are_named(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path, chat=True), "labels", "ok")
    assert found.details["tokens"] == {"negative": 8, "neutral": 7, "positive": 8}
    assert "2 share a first token with another ('negative', 'neutral')" in found.message


def test_labels_with_the_same_tokens_are_an_error(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "llama")
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save_pretrained(tmp_path / "llama")
    diagnosis = diagnosed(tmp_path, dataset={"labels": {"negative": "No", "neutral": "maybe", "positive": "NO"}})
    assert the_one(diagnosis, "labels", "error").details["same"] == [["negative", "positive"]]


PREFIXED = {"negative": "card", "neutral": "cash", "positive": "card lost"}


@pytest.mark.parametrize(("end", "level"), [("none", "warn"), ("auto", "ok")])
def test_a_label_that_begins_another_is_a_warning_where_no_end_tells_them_apart(
    end: str, level: str, tmp_path: Path
) -> None:
    diagnosis = diagnosed(tmp_path, dataset={"labels": PREFIXED}, inference={"label_end": end})
    assert levels(diagnosis, "labels") == {"ok", level}
    if level == "warn":
        assert the_one(diagnosis, "labels", "warn").details["prefixes"] == ["'negative' in 'positive'"]


def test_a_test_of_nearly_one_label_is_a_warning(tmp_path: Path) -> None:
    assert levels(diagnosed(tmp_path), "balance") == {"ok"}
    test = [*labelled_rows(20, ["neutral"], "unseen "), *labelled_rows(1, LABELS, "other ")]
    found = the_one(diagnosed(tmp_path, test=test), "balance", "warn")
    assert found.message.startswith("91% of the test rows are 'neutral'")


def test_labels_without_a_test_row_are_a_warning_with_what_macro_f1_can_be(tmp_path: Path) -> None:
    test = labelled_rows(3, ["neutral", "positive"], "unseen ")
    found = the_one(diagnosed(tmp_path, test=test), "balance", "warn")
    assert found.message.startswith("1 of 3 labels have no test row (negative)")
    assert found.message.endswith("can't be above 0.67")


def test_in_context_examples_that_the_shots_lack_are_a_warning(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path, inference={"icl_examples": 3}), "balance", "warn")
    assert "fewer in-context examples than the 3 asked for" in found.message
    assert found.fix is not None


@pytest.mark.parametrize(("kept", "level"), [(False, "ok"), (True, "warn")])
def test_training_rows_with_inputs_of_test_rows_are_a_warning_where_they_are_kept(
    kept: bool, level: str, tmp_path: Path
) -> None:
    train = [*labelled_rows(4), *labelled_rows(1, prefix="unseen ")]
    found = the_one(diagnosed(tmp_path, train=train, dataset={"deduplicate": not kept}), "leakage", level)
    assert found.details["duplicates"] == 3


def test_rows_that_differ_in_case_and_white_space_are_a_warning_with_those_among_the_shots(tmp_path: Path) -> None:
    alike: list[dict[str, Any]] = [{"text": " Unseen message 0  is NEUTRAL ", "label": "neutral"}]
    train = [*alike, *labelled_rows(4, ["negative", "positive"])]
    found = the_one(diagnosed(tmp_path, train=train), "leakage", "warn")
    assert found.message.startswith("1 training row like test rows but for")
    assert found.message.endswith("1 of them among the shots")
    assert found.details["rows"] == [0]
