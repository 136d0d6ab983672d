"""PiSSA, MiLoRA, OLoRA, CorDA and EVA against numpy, and against PEFT's own where it has one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda
from torch import Tensor, nn

from sft.initialization.initializers import initializer_registry
from sft.prompting.labelled import IGNORED, LabelledIds
from tests.adapters import with_lora
from tests.tiny_models import random_ids, tiny_loaded

RANK = 3
ROWS = [LabelledIds(ids, [IGNORED, *ids[1:]]) for ids in random_ids([30, 25, 28, 31])]
LORA = {"r": RANK, "lora_alpha": 7, "target_modules": ["q_proj", "down_proj"]}


def layer(n_in: int = 9, n_out: int = 7) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(n_in, n_out)


def products(model: Any) -> dict[str, Tensor]:
    """scaling · B A of every adapted layer."""
    return {
        name: (m.scaling["default"] * m.lora_B["default"].weight @ m.lora_A["default"].weight).detach()
        for name, m in model.named_modules()
        if hasattr(m, "lora_A")
    }


def base_weights(model: Any) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" not in name}


@pytest.mark.parametrize(("name", "part"), [("pissa", slice(None, RANK)), ("milora", slice(-RANK, None))])
@pytest.mark.parametrize("scaling", [1.0, 2.5])
def test_pissa_holds_the_largest_triplets_and_milora_the_smallest(name: str, part: slice, scaling: float) -> None:
    one = layer()
    u, s, vh = np.linalg.svd(one.weight.detach().numpy(), full_matrices=False)
    made = initializer_registry[name](one, RANK, dtype=torch.float32, scaling=scaling)
    a, b = made["lora_A"].numpy(), made["lora_B"].numpy()
    np.testing.assert_allclose(scaling * b @ a, (u[:, part] * s[part]) @ vh[part], atol=1e-5)
    np.testing.assert_allclose(a @ a.T, np.diag(s[part] / scaling), atol=1e-5)  # sqrt(S_r) on either side
    np.testing.assert_allclose(b.T @ b, np.diag(s[part] / scaling), atol=1e-5)


# PEFT's olora doesn't transpose GPT-2's weights.
@pytest.mark.parametrize(("name", "architecture"), [("pissa", "llama"), ("pissa", "gpt2"), ("olora", "llama")])
def test_the_adapter_is_pefts_of_that_name(name: str, architecture: str) -> None:
    args = {**LORA, "target_modules": "all-linear", "fan_in_fan_out": architecture == "gpt2"}
    peft = get_peft_model(tiny_loaded(architecture).model, LoraConfig(**args, init_lora_weights=name))
    ours = with_lora(tiny_loaded(architecture).model, {**args, "init_lora_weights": name})
    expected, found = products(peft), products(ours)
    assert expected.keys() == found.keys() != set()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], atol=1e-4, rtol=1e-4)


def test_pissa_with_a_number_of_iterations_is_an_argument() -> None:
    found = products(with_lora(tiny_loaded().model, {**LORA, "init_lora_weights": "pissa_niter_3"}))
    expected = products(with_lora(tiny_loaded().model, {**LORA, "init_lora_weights": "pissa"}))
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mode", ["ipm", "kpm"])
def test_corda_is_pefts_on_one_row(mode: str) -> None:
    """PEFT divides each batch by its largest entry before adding up; with one there is nothing to weigh."""
    model = tiny_loaded().model

    def run() -> None:
        model(input_ids=torch.tensor([ROWS[0].ids]))

    config = LoraConfig(**LORA, init_lora_weights="corda", corda_config=CordaConfig(corda_method=mode))
    preprocess_corda(model, config, run_model=run)
    expected = products(get_peft_model(model, config))
    spec = {"method": "corda", "args": {"mode": mode}}
    found = products(with_lora(tiny_loaded().model, {**LORA, "init_lora_weights": spec}, rows=ROWS[:1]))
    assert expected.keys() == found.keys() != set()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], atol=1e-3, rtol=1e-2)


def inputs_of_layers(ids: Tensor) -> dict[str, np.ndarray]:
    """What each adapted layer of the tiny model reads, centred."""
    found: dict[str, np.ndarray] = {}
    model = tiny_loaded().model
    for name, module in model.named_modules():
        if name.endswith(("q_proj", "down_proj")):
            module.register_forward_hook(
                lambda m, x, y, name=name: found.update({name: x[0].detach().flatten(0, 1).double().numpy()})
            )
    model(input_ids=ids)
    return {name: x - x.mean(axis=0) for name, x in found.items()}


def explained(x: np.ndarray, a: Tensor) -> float:
    """The share of the variance of x along the rows of a."""
    return float(((x @ a.double().numpy().T) ** 2).sum() / (x**2).sum())


def factors_a(model: Any) -> dict[str, Tensor]:
    return {
        name.removeprefix("base_model.model."): m.lora_A["default"].weight.detach()
        for name, m in model.named_modules()
        if hasattr(m, "lora_A")
    }


def test_eva_explains_as_much_of_the_inputs_as_any_rows_can_and_no_less_than_pefts() -> None:
    ids = torch.tensor(random_ids([40, 40, 40, 40]))
    config = LoraConfig(**LORA, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0, use_label_mask=False))
    peft = get_peft_model(tiny_loaded().model, config, low_cpu_mem_usage=True)
    initialize_lora_eva_weights(peft, [{"input_ids": ids}], show_progress_bar=False)
    rows = [LabelledIds(row, row) for row in ids.tolist()]
    ours = factors_a(with_lora(tiny_loaded().model, {**LORA, "init_lora_weights": "eva"}, rows=rows))
    theirs = factors_a(peft)
    assert ours.keys() == theirs.keys() == inputs_of_layers(ids).keys() != set()
    for name, x in inputs_of_layers(ids).items():
        values = np.linalg.svd(x, compute_uv=False) ** 2
        assert explained(x, ours[name]) == pytest.approx(values[:RANK].sum() / values.sum(), abs=1e-4)
        assert explained(x, ours[name]) >= explained(x, theirs[name]) - 1e-4
        torch.testing.assert_close(ours[name] @ ours[name].T, torch.eye(RANK), atol=1e-4, rtol=0)


def test_eva_fills_what_few_tokens_leave_open() -> None:
    inputs = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    a = initializer_registry["eva"](layer(), 5, dtype=torch.float32, inputs=inputs)["lora_A"]
    torch.testing.assert_close(a @ a.T, torch.eye(5), atol=1e-5, rtol=0)
    difference = (inputs[0] - inputs[1]) / (inputs[0] - inputs[1]).norm()
    torch.testing.assert_close((a[0] @ difference).abs(), torch.tensor(1.0), atol=1e-5, rtol=0)


def test_lora_ga_goes_along_the_gradient_of_the_loss() -> None:
    """A and B are singular vectors of the gradient that autograd gives for an unfrozen weight."""
    loaded = tiny_loaded()
    reference = copy.deepcopy(loaded.model)
    weight = reference.model.layers[1].mlp.down_proj.weight
    weight.requires_grad_(True)
    for row in ROWS:
        ids = torch.tensor([row.ids])
        (reference(input_ids=ids, labels=torch.tensor([row.labels])).loss / len(ROWS)).backward()
    u, _, vh = np.linalg.svd(weight.grad.double().numpy(), full_matrices=False)
    model = with_lora(loaded.model, {**LORA, "init_lora_weights": "lora_ga"}, rows=ROWS)
    adapted = model.base_model.model.model.layers[1].mlp.down_proj
    scale = weight.shape[0] ** 0.25 / 16**0.5
    a = adapted.lora_A["default"].weight.detach().double().numpy() / scale
    b = adapted.lora_B["default"].weight.detach().double().numpy() / scale
    np.testing.assert_allclose(np.abs(np.sum(a * vh[:RANK], axis=1)), 1, atol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(b * u[:, RANK : 2 * RANK], axis=0)), 1, atol=1e-3)


def test_measuring_leaves_no_gradient_and_no_other_mode_behind() -> None:
    model = tiny_loaded().model.train()
    wrapped = with_lora(model, {**LORA, "init_lora_weights": "lora_ga"}, rows=ROWS)
    assert wrapped.training
    assert all(p.grad is None for p in wrapped.parameters())
    assert not any(m._forward_hooks for n, m in wrapped.named_modules() if not n.endswith("base_layer"))


@pytest.mark.parametrize("name", ["pissa", "milora", "olora", "corda", "lora_ga"])
def test_the_base_weights_are_never_changed(name: str) -> None:
    loaded = tiny_loaded()
    before = base_weights(loaded.model)
    wrapped = with_lora(loaded.model, {**LORA, "init_lora_weights": name}, rows=ROWS)
    after = {
        key.replace("base_model.model.", "").replace("base_layer.", ""): weight
        for key, weight in base_weights(wrapped).items()
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
