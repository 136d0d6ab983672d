"""Old names of keys are mapped, with a warning, so that older configs go on working."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from sft.config.arguments import trainer_arguments
from sft.config.load import config_from_value
from sft.config.renames import TRAINER_ARG_RENAMES, rename_old_keys
from sft.errors import ConfigError
from tests.fakes import config_value


@pytest.mark.parametrize("old", sorted(TRAINER_ARG_RENAMES))
def test_an_old_trainer_argument_is_renamed_with_a_warning(old: str, caplog: pytest.LogCaptureFixture) -> None:
    new = TRAINER_ARG_RENAMES[old]
    renamed = rename_old_keys(config_value(training={"trainer_args": {old: 512}}))
    assert renamed["training"]["trainer_args"] == {new: 512}
    assert caplog.messages == [f"training.trainer_args.{old} is now called {new}"]


def test_the_names_in_a_grid_are_renamed_likewise(caplog: pytest.LogCaptureFixture) -> None:
    select = {"grid": {"max_seq_length": [64, 128], "save_safetensors": [True]}}
    renamed = rename_old_keys(config_value(training={"trainer_args": {}, "select": select}))
    assert renamed["training"]["select"]["grid"] == {"max_length": [64, 128]}
    assert "training.select.grid.max_seq_length is now called max_length" in caplog.messages


def test_old_names_are_unknown_to_the_installed_trl_and_new_ones_are_known() -> None:
    assert not TRAINER_ARG_RENAMES.keys() & trainer_arguments()
    assert set(TRAINER_ARG_RENAMES.values()) <= trainer_arguments()


def test_where_both_names_are_given_the_new_one_counts() -> None:
    both = config_value(training={"trainer_args": {"max_seq_length": 512, "max_length": 64}})
    assert rename_old_keys(both)["training"]["trainer_args"] == {"max_length": 64}


@pytest.mark.parametrize("gone", ["overwrite_output_dir", "group_by_length", "save_safetensors"])
def test_an_argument_that_no_longer_exists_is_left_out_with_a_warning(
    gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    renamed = rename_old_keys(config_value(training={"trainer_args": {gone: True, "max_steps": 3}}))
    assert renamed["training"]["trainer_args"] == {"max_steps": 3}
    assert gone in caplog.text


def test_the_tokenizer_name_of_inference_moves_to_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    value = config_value(dataset={"task_type": "generation"}, inference={"tokenizer_name": "some/tokenizer"})
    config = config_from_value(value, "x.json")
    assert config.evaluation.tokenizer_name == "some/tokenizer"
    assert "inference.tokenizer_name is now called evaluation.tokenizer_name" in caplog.text


def test_a_tokenizer_name_of_evaluation_is_not_overwritten_by_the_old_key() -> None:
    value = config_value(inference={"tokenizer_name": "old"}, evaluation={"tokenizer_name": "new"})
    assert config_from_value(value, "x.json").evaluation.tokenizer_name == "new"


def test_the_values_given_are_left_as_they_are() -> None:
    value = config_value(training={"trainer_args": {"max_seq_length": 512}}, inference={"tokenizer_name": "old"})
    before = copy.deepcopy(value)
    rename_old_keys(value)
    assert value == before


MALFORMED: list[dict[str, Any]] = [
    {"training": [], "inference": {"tokenizer_name": "x"}},
    {"training": {"trainer_args": "x"}},
    {"inference": {"tokenizer_name": "x"}, "evaluation": [3]},
    {"inference": "x"},
]


@pytest.mark.parametrize("change", MALFORMED, ids=str)
def test_a_malformed_section_is_refused_rather_than_crashing_the_renaming(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be an object"):
        config_from_value(config_value(**change), "x.json")


def test_a_config_in_current_names_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config_from_value(config_value(training={"trainer_args": {"max_length": 512}}), "x.json")
    assert not caplog.messages
