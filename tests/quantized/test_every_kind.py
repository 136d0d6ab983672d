"""Every kind of quantised weights does what ordinary weights do: score, train, generate, and be read.

On the GPU where there is one, else on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sft.config.schema import MethodConfig
from sft.errors import ModelError, TrainingError
from sft.inference.label_scorer import LabelScorer
from sft.initialization.utils import dequantize
from sft.models.load import LoadedModel
from sft.pipeline.endpoints import evaluate, run_experiment
from sft.training.arguments import trainer_config
from sft.training.quantised import gradient_error
from sft.training.train import TrainingSummary, train_adapter
from tests.fakes import labelled_rows, make_config
from tests.label_scoring import brute_force, prompts_of
from tests.quantised_models import LINEAR_LAYERS, wide_model
from tests.quantized.kinds import Kind, parametrised
from tests.tiny_models import random_ids
from tests.tiny_runs import tiny_run
from tests.unit.models.test_load import load
from tests.unit.training.test_train import SEQUENCES


@pytest.fixture
def section(kind: Kind, tmp_path: Path) -> dict[str, Any]:
    return kind.make(tmp_path / "model")


def loaded_from(section: dict[str, Any]) -> LoadedModel:
    return load(**section)


def projections(model: Any) -> dict[str, nn.Module]:
    """The layers that are or were quantised, by the names that they have without an adapter."""
    found = {
        name.replace(".base_layer", "").removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if name.removesuffix(".base_layer").endswith("_proj") and not hasattr(module, "base_layer")
    }
    assert len(found) == LINEAR_LAYERS
    return found


def same_function(loaded: LoadedModel) -> LoadedModel:
    """An ordinary float32 model with the dequantised weights."""
    model, weights = wide_model(), projections(loaded.model)
    with torch.no_grad():
        for name, layer in projections(model).items():
            layer.weight.copy_(dequantize(weights[name]))  # type: ignore[operator,union-attr]
    return LoadedModel(model.to(loaded.device), loaded.tokenizer, loaded.source, loaded.max_positions)


def ids_of(length: int, loaded: LoadedModel) -> torch.Tensor:
    return torch.tensor(random_ids([length]), device=loaded.device)


@torch.no_grad()
def logits(loaded: LoadedModel) -> torch.Tensor:
    result: torch.Tensor = loaded.model(input_ids=ids_of(24, loaded)).logits.float()
    return result


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def train(loaded: LoadedModel, folder: Path, **trainer_args: Any) -> TrainingSummary:
    arguments = {"max_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 4, **trainer_args}
    args = trainer_config(make_config(training={"trainer_args": arguments}), folder, keep_checkpoints=False)
    lora = MethodConfig(method="lora", args={"r": 4, "target_modules": "all-linear"})
    return train_adapter(loaded, lora, args, SEQUENCES)


def lora_gradients(loaded: LoadedModel) -> torch.Tensor:
    """Of a loss through LoRA that isn't zero anywhere, so that every gradient passes through all layers above."""
    from sft.training.attach import attach
    from sft.training.quantised import prepare_for_training

    method = prepare_for_training(loaded, MethodConfig(method="lora", args={"r": 4, "target_modules": "all-linear"}))
    torch.manual_seed(0)
    model = attach(loaded.model, method).model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    model.train()
    ids = ids_of(24, loaded)
    model(input_ids=ids, labels=ids).loss.backward()
    found = {n: p.grad.float().flatten() for n, p in model.named_parameters() if p.grad is not None}
    assert len(found) == 2 * LINEAR_LAYERS
    return torch.cat([found[name] for name in sorted(found)])


@parametrised()
def test_weights_are_those_of_the_checkpoint_before_and_after_an_evaluation(
    kind: Kind, section: dict[str, Any]
) -> None:
    loaded, original = loaded_from(section), projections(wide_model())
    for _ in range(2):
        for name, layer in projections(loaded.model).items():
            expected = dequantize(original[name])
            found = dequantize(layer).cpu()
            assert found.shape == expected.shape
            assert 1e-4 < relative(found, expected) < kind.weights, name
        logits(loaded)


@parametrised()
def test_the_model_is_the_ordinary_one_with_its_dequantised_weights(kind: Kind, section: dict[str, Any]) -> None:
    loaded = loaded_from(section)
    assert relative(logits(loaded), logits(same_function(loaded))) < 0.05  # int8 rounds activations: 3 %


@parametrised()
def test_lora_gradients_after_an_evaluation_are_those_of_the_ordinary_model(
    kind: Kind, section: dict[str, Any]
) -> None:
    loaded = loaded_from(section)
    reference = same_function(loaded)
    logits(loaded)
    assert relative(lora_gradients(loaded), lora_gradients(reference)) < 0.06


@parametrised()
def test_labels_are_scored_by_the_tree_and_as_by_the_definition(kind: Kind, section: dict[str, Any]) -> None:
    loaded = loaded_from(section)
    prompts = prompts_of([3, 9, 20])
    scorer = LabelScorer(loaded)
    found = scorer.score(prompts, None).log_probs
    assert scorer.report()["engine"] == "tree"
    expected = brute_force(loaded.model, prompts, None)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@parametrised()
def test_training_adapts_every_linear_layer_and_lowers_the_loss(
    kind: Kind, section: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = loaded_from(section)
    logits(loaded)
    before = {name: dequantize(layer) for name, layer in projections(loaded.model).items()}
    summary = train(loaded, tmp_path / "out", max_steps=12, learning_rate=0.01)
    losses = [entry["loss"] for entry in summary.log if "loss" in entry]
    assert losses[-1] < losses[0] - 1
    adapted = {name for name, module in loaded.model.named_modules() if hasattr(module, "lora_A")}
    assert len(adapted) == LINEAR_LAYERS
    for name, layer in projections(loaded.model).items():
        torch.testing.assert_close(dequantize(layer), before[name])
    assert capfd.readouterr().out == ""


@parametrised(of=lambda kind: kind.name in ("int8", "nf4", "torchao-int8", "awq", "gptq-4"))
@pytest.mark.parametrize("kwargs", [None, {"use_reentrant": True}, {"use_reentrant": False}])
def test_gradient_checkpointing_changes_no_loss(
    kind: Kind, section: dict[str, Any], kwargs: dict[str, Any] | None, tmp_path: Path
) -> None:
    """The loss of the third step has seen two updates, so wrong or missing gradients show."""
    losses = []
    for checkpointing in (False, True):
        extra = {"gradient_checkpointing_kwargs": kwargs} if kwargs and checkpointing else {}
        summary = train(
            loaded_from(section), tmp_path / "out", max_steps=3, learning_rate=0.01,
            gradient_checkpointing=checkpointing, **extra,
        )  # fmt: skip
        losses.append([entry["loss"] for entry in summary.log if "loss" in entry])
    assert losses[0][2] < losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@parametrised()
def test_a_run_records_how_the_weights_are_quantised(kind: Kind, section: dict[str, Any], tmp_path: Path) -> None:
    """Trained by the run, then loaded from its adapter: both give the same scores."""
    config = tiny_run(
        tmp_path,
        train=labelled_rows(3),
        test=labelled_rows(2, prefix="new "),
        trainer_args={"output_dir": str(tmp_path / "adapter")},
    )
    config = config.model_copy(update={"model": config.model.model_copy(update=_as_fields(section))})
    run = run_experiment(config, tmp_path / "results")
    told = run.record.model["quantization"]
    assert kind.record.items() <= told.items()
    assert set(told) >= {"method", "bits", "type", "group_size", "prequantised", "layers", "backend"}
    again = evaluate(config, tmp_path / "again", checkpoint=str(tmp_path / "adapter"))
    assert again.record.model["quantization"] == told
    assert again.record.results["nll"] == pytest.approx(run.record.results["nll"], rel=0.02)


def _as_fields(section: dict[str, Any]) -> dict[str, Any]:
    from sft.config.schema import ModelConfig

    model = ModelConfig(**section)
    return {"name": model.name, "quantization": model.quantization}


@parametrised()
def test_the_record_counts_the_weights_of_the_ordinary_model(kind: Kind, section: dict[str, Any]) -> None:
    """However they are packed: half as many numbers in 4 bits, none at all where they are buffers."""
    expected = sum(parameter.numel() for parameter in wide_model().parameters())
    assert loaded_from(section).describe()["parameters"] == expected


@parametrised()
def test_answers_are_generated(kind: Kind, section: dict[str, Any]) -> None:
    loaded = loaded_from(section)
    ids = ids_of(9, loaded)
    found = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
    with torch.no_grad():
        first = loaded.model(input_ids=ids).logits[0, -1].argmax()
    assert found.shape[1] > 9
    assert found[0, 9] == first


@parametrised(of=lambda kind: kind.name in ("awq", "gptq-4", "gptq-8-v2"))
def test_mixed_precision_does_not_round_weights_for_good(kind: Kind, section: dict[str, Any]) -> None:
    """Layers in float16 are given bfloat16 in a training."""
    for layer in projections(loaded_from(section).model).values():
        before = dequantize(layer)
        x = torch.ones(3, layer.in_features, dtype=torch.bfloat16, device=before.device)
        y = layer(x).float()
        assert torch.equal(dequantize(layer), before)
        assert relative(y, x.float() @ before.T) < 0.02


@parametrised(of=lambda kind: kind.name in ("awq", "gptq-4"))
@pytest.mark.parametrize("backend", ["auto", "auto_trainable"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_kernel_of_the_users_choice_trains_right_or_not_at_all(
    kind: Kind, section: dict[str, Any], backend: str, dtype: str
) -> None:
    """Which kernels the names stand for depends on the CPU; some refuse, some pass no gradient after an evaluation."""
    choice = {"config_class": "AwqConfig", "args": {"backend": backend}}
    if kind.name != "awq":
        choice = {"config_class": "GPTQConfig", "args": {"backend": backend, "bits": 4}}
    try:
        loaded = loaded_from({**section, "quantization": choice, "model_args": {"dtype": dtype}})
    except ModelError as error:
        assert "only supports float16" in str(error)  # noqa: PT017 - Marlin, which computes in no other type
        return
    reference = same_function(loaded_from(section))
    logits(loaded)
    try:
        found = lora_gradients(loaded)
    except TrainingError as error:
        assert "can't train on" in str(error)  # noqa: PT017 - it may also succeed
        return
    assert relative(found, lora_gradients(reference)) < 0.06


@parametrised(of=lambda kind: not kind.name.startswith("compressed"))
def test_the_gradient_probe_finds_nothing_wrong(kind: Kind, section: dict[str, Any]) -> None:
    loaded = loaded_from(section)
    errors = [gradient_error(layer, loaded.model.dtype) for layer in projections(loaded.model).values()]
    assert max(errors) < 0.05
