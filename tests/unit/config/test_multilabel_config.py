"""Keys of multi-label tasks: what goes together, and which runs are the same."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.identity import run_id, seeds_that_matter
from sft.errors import ConfigError
from tests.fakes import make_config


def config(**sections: Any) -> Any:
    sections["dataset"] = {"task_type": "multilabel", **sections.get("dataset", {})}
    sections["prompting"] = {"output_column": "labels", **sections.get("prompting", {})}
    return make_config(**sections)


ACCEPTED: dict[str, dict[str, Any]] = {
    "a template that asks": {"prompting": {"format": "plain", "template": "{text}\n{label}:"}},
    "another name for the label": {"prompting": {"label_question": {"name": "emotion"}, "input_columns": ["label"]}},
    "a label in the answer": {
        "prompting": {"label_question": {"place": "answer"}, "format": "plain", "template": "{text}\nLabels:"}
    },
    "one threshold": {"inference": {"thresholds": 0.25}},
    "thresholds by name": {"dataset": {"labels": ["a", "b"]}, "inference": {"thresholds": {"a": 0.25, "b": 1}}},
    "verbalised labels": {"dataset": {"labels": {"a": "one", "b": "two"}}},
    "folds": {"inference": {"folds": 2}},
    "generated answers": {"inference": {"method": "generate"}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a template that doesn't ask": (
        {"prompting": {"format": "plain", "template": "{text}\nLabels:"}},
        "prompting.template: doesn't show the input column 'label'",
    ),
    "an input called like the label": (
        {"prompting": {"input_columns": ["text", "label"]}},
        "prompting.input_columns: holds 'label', which is what a label that is asked about is called",
    ),
    "two equal answers": (
        {"prompting": {"label_question": {"yes": " ja", "no": "ja "}}},
        "prompting.label_question: the answers ' ja' and 'ja ' are the same, or empty",
    ),
    "an empty answer": ({"prompting": {"label_question": {"no": " "}}}, "are the same, or empty"),
    "a threshold of an unknown label": (
        {"dataset": {"labels": ["joy"]}, "inference": {"thresholds": {"jo": 0.5}}},
        "inference.thresholds.jo: is not among dataset.labels",
    ),
    "a threshold above one": ({"inference": {"thresholds": 1.5}}, "inference.thresholds"),
    "a calibration": (
        {"inference": {"calibration": {"method": "batch"}}},
        "inference.calibration: is about the scores of labels that exclude each other",
    ),
    "a normalisation": (
        {"inference": {"score_normalization": "tokens"}},
        "inference.score_normalization: is about the scores of labels that exclude each other",
    ),
    "selection by accuracy": (
        {"training": {"select": {"grid": {"max_steps": [1, 2]}, "metric": "accuracy"}}},
        "training.select.metric: 'accuracy' is for classification",
    ),
    "thresholds of generated answers": (
        {"inference": {"method": "generate", "thresholds": 0.5}},
        "inference.thresholds: is for multi-label tasks with inference.method logits",
    ),
    "cut lists": (
        {"inference": {"method": "generate"}, "prompting": {"max_output_length": 8}},
        "prompting.max_output_length: would cut lists of labels in training",
    ),
    "lists by beam search": (
        {"inference": {"method": "generate", "generation_args": {"num_beams": 2}}},
        "inference.generation_args.num_beams: doesn't go with constrained decoding",
    ),
    "a metric for one label": ({"evaluation": {"metrics": ["accuracy"]}}, "'accuracy' is a metric for classification"),
}
OF_MULTILABEL: list[tuple[dict[str, Any], str]] = [
    ({"dataset": {"label_separator": ";"}}, "dataset.label_separator: is for task_type multilabel"),
    ({"prompting": {"label_question": {}}}, "prompting.label_question: is for multi-label tasks"),
    ({"inference": {"thresholds": 0.5}}, "inference.thresholds: is for multi-label tasks"),
]


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_goes_together_is_accepted(case: str) -> None:
    assert config(**ACCEPTED[case]).dataset.task_type == "multilabel"


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_is_refused(case: str) -> None:
    from sft.config.load import config_from_value
    from sft.pipeline.checks import check_registered_names
    from tests.fakes import config_value

    sections, message = REFUSED[case]
    sections = {**sections, "dataset": {"task_type": "multilabel", **sections.get("dataset", {})}}
    sections["prompting"] = {"output_column": "labels", **sections.get("prompting", {})}
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(**sections), "x", extra_checks=[check_registered_names])
    assert message in str(caught.value)


@pytest.mark.parametrize(("sections", "message"), OF_MULTILABEL)
def test_keys_of_multilabel_tasks_are_refused_in_others(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(**sections)
    assert message in str(caught.value)


def id_of(**sections: Any) -> str:
    return run_id(config(**sections), "0" * 64, trains=True)


def test_defaults_written_out_are_the_same_run_and_other_questions_and_thresholds_are_not() -> None:
    same = {"prompting": {"label_question": {"name": "label", "yes": " yes"}}, "inference": {"thresholds": "auto"}}
    assert id_of(**same) == id_of()
    others = [
        {"prompting": {"label_question": {"yes": " sure"}}},
        {"inference": {"thresholds": 0.5}},
        {"dataset": {"label_separator": ";"}},
    ]
    assert len({id_of(), *(id_of(**other) for other in others)}) == 4


def test_questions_sample_nothing() -> None:
    sampling = {"generation_args": {"do_sample": True}}
    assert "seed" not in seeds_that_matter(config(inference=sampling), trains=True)
    assert "seed" in seeds_that_matter(config(inference={"method": "generate", **sampling}), trains=True)
