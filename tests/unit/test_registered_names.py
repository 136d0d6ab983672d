"""Choices from registries are checked before anything runs: the names, and the arguments of the chosen."""

from __future__ import annotations

from typing import Any

import pytest

from sft.adapters import adapter_registry
from sft.adapters.experimental import REFUSED
from sft.calibration import calibration_registry
from sft.calibration.normalization import normalization_registry
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config


def problems(**sections: Any) -> list[tuple[str, str]]:
    return [(problem.key, str(problem)) for problem in check_registered_names(make_config(**sections))]


def calibration(method: str, **args: Any) -> dict[str, Any]:
    return {"inference": {"calibration": {"method": method, "args": args}}}


def initialization(value: Any) -> dict[str, Any]:
    return {"lora": {"r": 4, "init_lora_weights": value}}


def adapter(method: str, args: dict[str, Any], key: str, text: str) -> tuple[dict[str, Any], str, str]:
    """A refused adapter: the sections, the key of the problem below `adapter`, a part of its text."""
    return {"lora": None, "adapter": {"method": method, "args": args}}, f"adapter.{key}", text


ACCEPTED: list[dict[str, Any]] = [
    {},
    *(calibration(name) for name in sorted(calibration_registry)),
    calibration("batch", space="probability"),
    calibration("batch", estimate_on="unlabelled", unlabelled_path="more.jsonl"),
    calibration("contextual", content_free_inputs=["N/A"], prior="per_prompt"),
    calibration("domain", samples=5),
    calibration("temperature", highest=5),
    *({"inference": {"score_normalization": name}} for name in sorted(normalization_registry)),
    {"evaluation": {"metrics": ["accuracy", "f1"]}},
    {"evaluation": {"metrics": []}},
    {"dataset": {"task_type": "generation"}, "evaluation": {"metrics": ["bleu"], "tokenizer_name": "gpt2"}},
    *(
        initialization(name)
        for name in (True, False, "gaussian", "orthogonal", "pissa", "pissa_niter_4", "pca", "milora")
    ),
    initialization({"method": "pissa", "args": {"residual": False, "niter": 4}}),
    initialization({"method": "corda", "args": {"mode": "kpm"}}),
    initialization({"method": "eva"}),
    *({"lora": None, "adapter": {"method": name}} for name in sorted(adapter_registry)),
    {"lora": None, "adapter": {"method": "full", "args": {"train_modules": ["norm", "q_proj"], "keep_dtype": True}}},
    {"lora": None, "adapter": {"method": "adalora", "args": {"init_r": 4, "target_r": 2}}},
]


@pytest.mark.parametrize("sections", ACCEPTED, ids=str)
def test_a_registered_choice_with_its_own_arguments_is_accepted(sections: dict[str, Any]) -> None:
    assert problems(**sections) == []


# (sections, the key of the one problem, a part of its text)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (calibration("contextul"), "inference.calibration.method", "did you mean 'contextual'?"),
    (calibration("batch", gamma=1), "inference.calibration.args.gamma", "no argument of the calibration 'batch'"),
    (calibration("batch", space="linear"), "inference.calibration.args.space", "must be 'log' or 'probability'"),
    (calibration("contextual", content_free_inputs=[]), "inference.calibration.args.content_free_inputs", "at least 1"),
    (calibration("contextual", content_free_inputs="x"), "inference.calibration.args.content_free_inputs", "be a list"),
    (calibration("contextual", content_free_inputs=["x", 1]), "inference.calibration.args.content_free_inputs[1]", "1"),
    (calibration("contextual", prior="own"), "inference.calibration.args.prior", "must be 'shared' or 'per_prompt'"),
    (calibration("domain", samples=0), "inference.calibration.args.samples", "must be > 0"),
    (calibration("domain", samples=2.5), "inference.calibration.args.samples", "must be an integer"),
    (calibration("batch", estimate_on="unlabelled"), "inference.calibration.args", "unlabelled_path is missing"),
    ({"inference": {"score_normalization": "token"}}, "inference.score_normalization", "did you mean 'tokens'?"),
    ({"evaluation": {"metrics": ["acuracy"]}}, "evaluation.metrics[0]", "did you mean 'accuracy'?"),
    ({"evaluation": {"metrics": ["bleu"]}}, "evaluation.metrics[0]", "is a metric for generation"),
    ({"evaluation": {"metrics": ["accuracy"], "bins": 5}}, "evaluation.bins", "no chosen metric takes this argument"),
    ({"evaluation": {"tokenizer_name": "gpt2"}}, "evaluation.tokenizer_name", "only bleu, rouge"),
    ({"lora": None, "adapter": {"method": "lorra"}}, "adapter.method", "did you mean 'lora'?"),
    (initialization("pisa"), "lora.init_lora_weights", "did you mean 'pissa'?"),
    (initialization("pissa_niter_x"), "lora.init_lora_weights", "no initialisation is named 'pissa_niter_x'"),
    (initialization({"method": "gaussian"}), "lora.init_lora_weights.method", "no initialisation is named 'gaussian'"),
    (initialization({"method": "eva", "arg": {}}), "lora.init_lora_weights.arg", "unknown key"),
    (initialization({"method": "eva", "args": {"inputs": 1}}), "lora.init_lora_weights.args.inputs", "no argument of"),
    (initialization({"method": "eva", "args": {"seed": 1}}), "lora.init_lora_weights.args.seed", "no argument of"),
    (initialization({"method": "corda", "args": {"mode": "x"}}), "lora.init_lora_weights.args.mode", "'ipm' or 'kpm'"),
    (initialization({"method": "pissa", "args": {"residual": 1}}), "lora.init_lora_weights.args.residual", "must be"),
    (initialization(7), "lora.init_lora_weights", "must be"),
    *(adapter(name, {}, "method", f"can't be trained here: {reason}") for name, reason in REFUSED.items()),
    adapter("full", {"train_module": "x"}, "args.train_module", "did you mean 'train_modules'?"),
    adapter("full", {"train_modules": "("}, "args.train_modules", "no regular expression"),
    adapter("full", {"train_modules": 3}, "args.train_modules", "no regular expression"),
    adapter("full", {"keep_dtype": 1}, "args.keep_dtype", "must be true or false"),
    adapter("adalora", {"total_step": 10}, "args.total_step", "is the number of optimizer steps"),
    adapter("adalora", {"target_r": 12}, "args.target_r", "must be below init_r (12)"),
]


@pytest.mark.parametrize(("sections", "key", "text"), REFUSED, ids=[f"{key}: {text}" for _, key, text in REFUSED])
def test_an_unknown_choice_or_a_foreign_argument_is_refused(sections: dict[str, Any], key: str, text: str) -> None:
    found = problems(**sections)
    assert [found_key for found_key, _ in found] == [key]
    assert text in found[0][1]
