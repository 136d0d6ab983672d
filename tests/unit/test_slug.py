"""The readable part of a run's folder, and the short names of data sets and models."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sft.config.names import dataset_name, model_name
from sft.pipeline.slug import slug
from tests.fakes import make_config

SLUGS: list[tuple[dict[str, Any], str]] = [
    ({}, "no-such-data-no-such-model-shots2-icl0-0-seed13"),
    (
        {
            "dataset": {"path": "cardiffnlp/tweet_eval", "shots": None},
            "model": {"name": "Qwen/Qwen2.5-0.5B"},
            "training": {"icl_examples": 1},
            "inference": {"icl_examples": 2},
            "seed": 7,
        },
        "tweet_eval-Qwen2.5-0.5B-shotsall-icl1-2-seed7",
    ),
    ({"inference": {"score_normalization": "bytes"}}, "no-such-data-no-such-model-shots2-icl0-0-seed13-bytes"),
    (
        {"inference": {"calibration": {"method": "batch_adjustable"}, "score_normalization": "calibrated_tokens"}},
        "no-such-data-no-such-model-shots2-icl0-0-seed13-batch_adjustable-calibrated_tokens",
    ),
    ({"training": None, "inference": None}, "no-such-data-no-such-model-shots2-icl0-0-seed13"),
]


@pytest.mark.parametrize(("sections", "expected"), SLUGS)
def test_a_slug_tells_what_a_run_is_about(sections: dict[str, Any], expected: str) -> None:
    assert slug(make_config(**sections)) == expected


PATHS: list[tuple[Any, str]] = [
    ("data/sst2", "sst2"),
    ("data/sst2/", "sst2"),
    ("data/reviews.csv", "reviews"),
    ("etc/quickstart/data", "quickstart_data"),
    ({"train": "data/sst2/train.jsonl", "test": "data/sst2/test.jsonl"}, "sst2"),
    ({"train": ["data/sst2/a.jsonl"], "test": "data/sst2/test.jsonl"}, "sst2"),
    (["data/sst2/train.jsonl", "data/sst2/test.jsonl"], "sst2"),
]


@pytest.mark.parametrize(("path", "name"), PATHS, ids=str)
def test_a_data_set_is_called_by_the_end_of_its_path_that_says_something(path: Any, name: str) -> None:
    assert dataset_name(make_config(dataset={"path": path})) == name


@pytest.mark.parametrize(
    ("model", "name"), [("a/b", "b"), ("./models/base-6m/", "base-6m"), ("etc/quickstart/model", "quickstart_model")]
)
def test_a_model_is_called_by_the_end_of_its_path_that_says_something(model: str, name: str) -> None:
    assert model_name(make_config(model={"name": model})) == name


NAMES = st.text(st.sampled_from("ab./-~_ \n天é:*") | st.characters(), min_size=1, max_size=80)


@given(path=NAMES, model=NAMES, method=NAMES, normalization=NAMES)
@example(path=".hidden", model="x", method="../x", normalization="-")
@example(path="--option", model="x", method="x", normalization="y")
@example(path="...", model="x", method="x" * 99, normalization="y" * 99)
def test_any_names_make_one_folder_name_of_bounded_length(
    path: str, model: str, method: str, normalization: str
) -> None:
    inference = {"calibration": {"method": method}, "score_normalization": normalization}
    made = slug(make_config(dataset={"path": path}, model={"name": model}, inference=inference))
    assert re.fullmatch(r"[\w.-]+", made)
    assert len(made) < 240
    assert not made.startswith((".", "-"))
