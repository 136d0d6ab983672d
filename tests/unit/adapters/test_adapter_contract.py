"""What every adapter method promises, whoever adds it to the registry."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM

from sft.adapters import adapter_registry
from sft.adapters.experimental import REFUSED
from sft.config.peft_source import peft_methods
from sft.config.schema import MethodConfig
from sft.models.load import LoadedModel
from sft.prompting.build import TrainingSequence
from sft.training.arguments import trainer_config
from sft.training.attach import attach
from sft.training.output import save_trained
from sft.training.train import TrainingSummary, train_adapter
from tests.fakes import make_config
from tests.tiny_models import random_ids, save_tiny_model, tiny_loaded
from tests.unit.adapters.adapter_arguments import SMALL
from tests.unit.models.test_load import load

NAMES = list(adapter_registry)
FIRST_CLASS = [name for name in NAMES if not adapter_registry[name].experimental]
# Variants of a method that have code of their own in PEFT.
VARIANTS = {
    **{name: (name, SMALL.get(name, {})) for name in NAMES},
    "lora with DoRA": ("lora", {"use_dora": True}),
    "lora with rsLoRA": ("lora", {"use_rslora": True}),
    "lora with DoRA and rsLoRA": ("lora", {"use_dora": True, "use_rslora": True}),
    "prefix_tuning with projection": ("prefix_tuning", {"num_virtual_tokens": 4, "prefix_projection": True}),
    "full, some modules": ("full", {"train_modules": ["q_proj", r"layers\.1\.mlp"]}),
}
PROMISED = [name for name, (method, _) in VARIANTS.items() if method in FIRST_CLASS]

IDS = random_ids([7, 12, 20, 31])
SEQUENCES = [TrainingSequence(ids, n_prompt) for ids, n_prompt in zip(IDS, (5, 11, 12, 20), strict=True)]


@pytest.fixture(autouse=True)
def peft_may_warn() -> Iterator[None]:
    """PEFT says of some methods what they can't do (merge, use CUDA kernels, adapt a subclass of a layer)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected that the base layer has no bias term", category=UserWarning)
        warnings.filterwarnings("ignore", message="Failed to load the CUDA extension", category=UserWarning)
        warnings.filterwarnings("ignore", message="Setting boft_n_butterfly_factor to 1", category=UserWarning)
        warnings.filterwarnings("ignore", message="Unsupported layer type .*RMSNorm", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message="Sparse invariant checks are implicitly disabled", category=UserWarning
        )
        yield


def spec(variant: str) -> MethodConfig:
    method, args = VARIANTS[variant]
    return MethodConfig(method=method, args=args)


def train(loaded: LoadedModel, variant: str, folder: Path, **trainer_args: Any) -> TrainingSummary:
    arguments = {"max_steps": 6, "learning_rate": 0.02, "per_device_train_batch_size": 2, "logging_steps": 1}
    config = make_config(training={"trainer_args": {**arguments, **trainer_args}})
    args = trainer_config(config, folder, keep_checkpoints=False)
    return train_adapter(loaded, spec(variant), args, SEQUENCES)


@torch.inference_mode()
def logits(model: Any) -> torch.Tensor:
    """At the positions of the training rows' own tokens, on which any trained token occurs."""
    outputs = [model(input_ids=torch.tensor([ids])).logits[0, -len(ids) :] for ids in IDS]
    return torch.cat(outputs).clone()


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def test_every_method_of_peft_is_known_or_refused_with_a_reason() -> None:
    assert len(peft_methods()) > 20
    assert peft_methods().keys() - set(NAMES) - REFUSED.keys() == set()
    assert not set(NAMES) & REFUSED.keys()
    promised = {
        "lora",
        "adalora",
        "ia3",
        "vera",
        "loha",
        "lokr",
        "oft",
        "miss",
        "prefix_tuning",
        "prompt_tuning",
        "full",
    }
    assert promised <= set(FIRST_CLASS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_trains_what_it_adds_and_leaves_the_base_alone(variant: str, tmp_path: Path) -> None:
    loaded = tiny_loaded()
    before, first = {n: w.clone() for n, w in loaded.model.state_dict().items()}, logits(loaded.model)
    summary = train(loaded, variant, tmp_path)
    assert summary.trainable_parameters > 0
    assert (logits(loaded.model) - first).abs().max() > 1e-3
    after = {name.replace(".base_layer", ""): weight for name, weight in loaded.base_model.state_dict().items()}
    changed = {name for name, weight in before.items() if name in after and not torch.equal(after[name], weight)}
    if adapter_registry[VARIANTS[variant][0]].changes_base:
        assert changed
    else:
        assert not changed
        assert len(before.keys() & after.keys()) > len(before) / 4


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_trainable_gets_a_gradient(variant: str) -> None:
    """Away from its start, where a factor whose partner is zero has none."""
    torch.manual_seed(0)
    model = attached(tiny_loaded(), variant)
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert trainable
    with torch.no_grad():
        for parameter in trainable:
            parameter.add_(0.1 * torch.randn_like(parameter))
    model(input_ids=torch.tensor([IDS[3]]), labels=torch.tensor([IDS[3]])).loss.backward()
    reached = [p for p in trainable if p.grad is not None and p.grad.any()]
    assert len(reached) > len(trainable) / 2


def attached(loaded: LoadedModel, variant: str) -> Any:
    return attach(loaded.model, spec(variant)).model


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_weights(variant: str, tmp_path: Path) -> None:
    weights = []
    for _ in range(2):
        loaded = tiny_loaded()
        torch.rand(5)  # what was drawn before must not matter
        train(loaded, variant, tmp_path, max_steps=3)
        weights.append(trained_weights(loaded.model))
    assert weights[0]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("variant", [name for name in VARIANTS if adapter_registry[VARIANTS[name][0]].starts_at_base])
def test_step_0_equals_the_base_model_where_that_is_promised(variant: str) -> None:
    loaded = tiny_loaded()
    base = logits(loaded.model)
    torch.testing.assert_close(logits(attached(loaded, variant).eval()), base, atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", PROMISED)
def test_saved_and_loaded_again_by_us_and_by_plain_peft_it_gives_the_same_logits(variant: str, tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    loaded = load(base)
    train(loaded, variant, tmp_path / "out", max_steps=12)
    save_trained(loaded, tmp_path / "out")
    expected = logits(loaded.model)
    again = load(base, checkpoint=str(tmp_path / "out"))
    assert torch.equal(logits(again.model), expected)
    if not adapter_registry[VARIANTS[variant][0]].changes_base:
        with warnings.catch_warnings():
            # AdaLoRA's `rank_pattern` isn't LoRA's, and PEFT 0.21 looks for modules of those names.
            warnings.filterwarnings("ignore", message="The following rank_pattern keys did not match")
            plain = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
        torch.testing.assert_close(logits(plain.eval()), expected, atol=1e-5, rtol=0)
        written = json.loads((tmp_path / "out" / "adapter_config.json").read_text(encoding="utf-8"))
        assert written["task_type"] == "CAUSAL_LM"
