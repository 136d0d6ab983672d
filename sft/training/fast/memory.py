"""The memory that a training step needs on a GPU, told before it runs, and before there are weights.

What a step keeps for its backward pass is asked of autograd itself: a short sequence is run, on tensors without data if
need be, and the storages that are saved are counted, each once. The rest is counted off the parameters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from sft.inference.backbone import attending
from sft.training.fast import documents
from sft.training.fast.compiled import elementwise_parts
from sft.training.fast.documents import Documents
from sft.training.fast.lora import fused, fusible_layers

_PROBE = 256  # tokens
# Of the largest kept tensor's size: the gradients that exist at a time in the backward pass of one block.
_GRADIENTS_AT_A_TIME = 3
# Bytes per logit: in 16 bits, in float32, its log-probability, its gradient, and what the metrics need.
_PER_LOGIT = 2 + 4 * 4
_ADAM = 8  # bytes per trained parameter, for two moments


@dataclass(frozen=True)
class StepMemory:
    """Bytes. weights: of the model and what is trained. trained: gradients and optimizer state. activations: what is
    kept for the backward pass. passing: gradients of activations, and logits.
    """

    weights: int
    trained: int
    activations: int
    passing: int

    @property
    def total(self) -> int:
        return self.weights + self.trained + self.activations + self.passing


@dataclass(frozen=True)
class ActivationSize:
    """Bytes per token. kept: for the backward pass, of all layers. largest: of a single tensor. inputs: of the layers,
    which is what gradient checkpointing keeps. layers: how many there are.
    """

    kept: float
    largest: float
    inputs: float
    layers: int


def activation_size(model: Any, *, compiled: bool) -> ActivationSize:
    """model: a transformers model with an adapter, on any device (`meta` too), as it is trained in flat batches.

    compiled: as if elementwise parts were, which then keep their inputs only.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = base.get_input_embeddings().weight.device
    parameters = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        """The graph is given nothing: one that held what its own nodes put out would never be freed."""
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage

    layers, _ = fusible_layers(model)
    starts = torch.tensor([0, _PROBE], dtype=torch.int32, device=device)
    with contextlib.ExitStack() as stack:
        stack.enter_context(fused(layers))
        stack.enter_context(attending(base, documents.NAME))
        if compiled:
            stack.enter_context(_keeping_inputs_only(base))
        stack.enter_context(saved_tensors_hooks(keep, lambda nothing: nothing))
        stack.callback(model.train, model.training)
        model.train()
        model(
            input_ids=torch.zeros(1, _PROBE, dtype=torch.long, device=device),
            position_ids=torch.arange(_PROBE, device=device)[None],
            documents=Documents((_PROBE,), starts, _PROBE),
            use_cache=False,
            logits_to_keep=1,
        )
    sizes = [storage.nbytes() for storage in kept.values()]
    config = base.config.get_text_config()
    n_layers = int(config.num_hidden_layers)
    inputs = n_layers * int(config.hidden_size) * base.dtype.itemsize
    return ActivationSize(sum(sizes) / _PROBE, max(sizes) / _PROBE, inputs, n_layers)


def step_memory(
    model: Any, size: ActivationSize, *, tokens: int, answers: int, checkpointing: bool, optimizer_bytes: int = _ADAM
) -> StepMemory:
    """Of a micro-batch with so many tokens, of which `answers` are predicted.

    optimizer_bytes: per trained parameter.
    """
    parameters = list(model.parameters())
    weights = sum(_bytes(parameter) for parameter in parameters)
    trained = sum(p.numel() * (p.element_size() + optimizer_bytes) for p in parameters if p.requires_grad)
    activations = size.inputs + size.kept / size.layers if checkpointing else size.kept
    vocabulary = int(model.config.get_text_config().vocab_size)
    passing = _GRADIENTS_AT_A_TIME * size.largest * tokens + _PER_LOGIT * vocabulary * answers
    return StepMemory(weights, trained, int(activations * tokens), int(passing))


def _bytes(parameter: Any) -> int:
    return int(parameter.numel() * parameter.element_size())


@contextlib.contextmanager
def _keeping_inputs_only(model: Any) -> Iterator[None]:
    with elementwise_parts(model, _keeps_inputs):
        yield


def _keeps_inputs(function: Any) -> Any:
    def kept(*inputs: Any, **named: Any) -> Any:
        if named or not all(isinstance(x, Tensor) for x in inputs):
            return function(*inputs, **named)
        return _KeepsInputs.apply(function, *inputs)  # type: ignore[no-untyped-call]

    return kept


class _KeepsInputs(torch.autograd.Function):
    """Stands for a compiled function in a forward pass that has no backward pass."""

    @staticmethod
    def forward(ctx: Any, function: Any, *inputs: Tensor) -> Any:
        ctx.save_for_backward(*inputs)
        return function(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise AssertionError("it stands for a forward pass only")
