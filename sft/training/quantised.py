"""Training on quantised weights: what is checked before, because it would be silently wrong.

PEFT's `prepare_model_for_kbit_training` isn't used. Of what it does, adapters freeze the base themselves, TRL lets
gradients into checkpointed layers, and norms and the head stay in the type in which the model is evaluated.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch

from sft.config.schema import MethodConfig
from sft.errors import TrainingError
from sft.models.load import LoadedModel
from sft.models.quantized import quantised_layers

# Rounding of weights and activations to 8 bits makes 2 %; repacked weights or a wrong kernel more than 50 %.
_TOLERANCE = 0.1
_ROWS = 32
_USE_DEFAULTS = (
    "remove what chose it from model.quantization.args (backend, quant_type): with the defaults for a kind of weights, "
    "and with bitsandbytes, gradients are right"
)
_USE_ANOTHER_KIND = "train on weights of another kind (bitsandbytes), or on ones that aren't quantised"
_USE_ANOTHER = "use another method or variant, or weights that aren't quantised"


def prepare_for_training(loaded: LoadedModel, adapter: MethodConfig) -> MethodConfig:
    """The adapter with names in the place of `all-linear`, where PEFT would miss quantised layers.

    Raises `TrainingError` for layers that pass no gradient, or a wrong one, to the layers before them.
    """
    layers = quantised_layers(loaded.model)
    tried = set()
    for name, layer in layers:
        kind = (type(layer), type(getattr(layer, "weight", None)))
        if kind in tried:
            continue
        tried.add(kind)
        try:
            error = gradient_error(layer, loaded.model.dtype)
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as reason:  # some kernels say it themselves
            raise TrainingError(f"can't train on {name}: {reason}", _USE_DEFAULTS) from reason
        if error > _TOLERANCE:
            what = "no gradient" if error == float("inf") else f"a gradient that is wrong by {error:.0%}"
            raise TrainingError(
                f"can't train on {name}: a quantised {type(layer).__name__} gives {what} to the layers before it",
                _USE_DEFAULTS,
            )
    quantizer = getattr(loaded.base_model, "hf_quantizer", None)
    if layers and quantizer is not None and not quantizer.is_trainable:
        what = type(getattr(quantizer.quantization_config, "quant_type", quantizer.quantization_config)).__name__
        raise TrainingError(f"can't train on these weights: transformers trains on none of {what}", _USE_ANOTHER_KIND)
    is_missed = any(not isinstance(layer, torch.nn.Linear) for _, layer in layers)
    if not is_missed or str(adapter.args.get("target_modules")).lower() != "all-linear":
        return adapter
    return adapter.model_copy(update={"args": {**adapter.args, "target_modules": _linear_names(loaded.model)}})


def check_adapted(model: Any, method: str) -> None:
    """Raise `TrainingError` where an adapter isn't on quantised layers what the config says.

    That is where it has nothing to train there, or is plain LoRA in the place of a variant (KaSA, MonteCLoRA) that PEFT
    has for ordinary layers only. PEFT says nothing of either.
    """
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    quantised = {layer for _, layer in quantised_layers(model)}
    variant_asked_for = None
    for name, module in model.named_modules():
        if not isinstance(module, BaseTunerLayer) or module.get_base_layer() not in quantised:
            continue
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise TrainingError(
                f"the adapter {method!r} has nothing to train on the quantised layer {name}: PEFT doesn't implement it "
                "for these weights",
                _USE_ANOTHER,
            )
        if isinstance(module, LoraLayer):
            variant_asked_for = variant_asked_for or _variant_on_an_ordinary_layer(model.peft_config["default"])
            if type(module.lora_variant.get("default")) is not variant_asked_for:
                raise TrainingError(
                    f"the adapter {method!r} would be plain LoRA on the quantised layer {name}: PEFT doesn't implement "
                    f"{variant_asked_for.__name__} for these weights",
                    _USE_ANOTHER,
                )


def _variant_on_an_ordinary_layer(config: Any) -> type[Any]:
    """The class of the LoRA variant that PEFT puts on an `nn.Linear`; NoneType for plain LoRA."""
    from peft.tuners.lora import LoraModel

    own = copy.copy(config)
    own.target_modules, own.exclude_modules, own.modules_to_save, own.init_lora_weights = {"layer"}, None, None, True
    own.layers_to_transform = own.layers_pattern = own.target_parameters = None
    with torch.random.fork_rng(devices=[]):
        small = torch.nn.Sequential(OrderedDict(layer=torch.nn.Linear(2 * own.r, 2 * own.r)))
        return type(LoraModel(small, {"default": own}, "default").model.layer.lora_variant.get("default"))


def gradient_error(layer: Any, dtype: torch.dtype) -> float:
    """How wrong the gradient is that a linear layer gives to its input: 0 exact, about 1 unrelated, inf none.

    Compares <gradient, x> of a training step with <g, W x> of an evaluation, which are equal for whatever W the
    evaluation has.
    """
    generator = torch.Generator().manual_seed(0)
    device = next(iter((*layer.parameters(), *layer.buffers()))).device
    x = torch.randn(_ROWS, layer.in_features, generator=generator).to(device, dtype)
    was_training = layer.training
    try:
        layer.eval()
        with torch.no_grad():
            evaluated = layer(x) - layer(torch.zeros_like(x))
        layer.train()
        with torch.enable_grad():
            inputs = x.clone().requires_grad_()
            trained = layer(inputs)
        if not trained.requires_grad:
            return float("inf")
        g = torch.randn(trained.shape, generator=generator).to(device, trained.dtype)
        (gradient,) = torch.autograd.grad(trained, inputs, g)
    finally:
        layer.train(was_training)
    found = (gradient.double() * x.double()).sum(dim=-1)
    expected = (evaluated.double() * g.double()).sum(dim=-1)
    return float((found - expected).norm() / expected.norm())


def _linear_names(model: Any) -> list[str]:
    """What `all-linear` means: every linear layer but the head, quantised or not."""
    from transformers.pytorch_utils import Conv1D

    quantised = {layer for _, layer in quantised_layers(model)}
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if module is not head
        and not isinstance(module, torch.nn.Embedding)
        and (module in quantised or isinstance(module, (torch.nn.Linear, Conv1D)))
    ]
