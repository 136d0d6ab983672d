"""The time of a training's steps on a GPU, told before it runs, and before there are weights.

A micro-batch is run forward and backward on tensors without data, and every kernel is written down with the operations
and the bytes that it takes. On a device a kernel takes the longer of the two (a roofline), and never less than starting
it does. A host that issues kernels more slowly than the device computes them sets the pace instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from sft.inference.backbone import attending
from sft.training.fast import documents
from sft.training.fast.compiled import elementwise_parts
from sft.training.fast.documents import Documents
from sft.training.fast.gpus import GpuSpeed
from sft.training.fast.lora import fused, fusible_layers

_SMALLEST_KERNEL = 3e-6
COMPILING = 8.0  # seconds, once
# Of a host, as fitted to fifteen trainings on an H100 (docs/decisions/0018-training.md): seconds to issue an operation,
# the same with gradient checkpointing's hooks around it, and of an optimizer step with all that the trainer does then.
_ISSUING = 20e-6
_ISSUING_AGAIN = 45e-6
STEP = 25e-3
# Backward, attention takes two and a half times the operations; of a matrix product's rate it reaches this share.
_ATTENTION_BACKWARD = 2.5
_ATTENTION_RATE = 0.4


class Kernel(NamedTuple):
    operations: float
    moved: int  # bytes


class MicroBatch(NamedTuple):
    """Seconds of one forward and backward pass: as the device computes it, and as the host issues it."""

    device: float
    host: float

    @property
    def seconds(self) -> float:
        return max(self.device, self.host)


def micro_batch_time(
    model: Any, lengths: Sequence[int], *, answers: int, checkpointing: bool, compiled: bool, gpu: GpuSpeed
) -> MicroBatch:
    """Of a flat micro-batch of sequences of these lengths.

    model: a transformers model with an adapter, on the device `meta`. answers: how many tokens are predicted. compiled:
    as if elementwise parts were.
    """
    forward, backward = _passes(model, lengths, answers, compiled)
    again = forward if checkpointing else _Pass([], 0)
    kernels = [*forward.kernels, *backward.kernels, *again.kernels]
    device = sum(
        max(kernel.operations / gpu.operations, kernel.moved / gpu.bandwidth, _SMALLEST_KERNEL) for kernel in kernels
    )
    host = _ISSUING * (forward.issued + backward.issued) + _ISSUING_AGAIN * again.issued
    return MicroBatch(device, host)


def step_time(micro_batch: MicroBatch, parts: int) -> float:
    """Seconds of an optimizer step over so many micro-batches."""
    return parts * micro_batch.seconds + STEP


class _Pass(NamedTuple):
    """issued: operations as torch dispatches them; those that only look at memory differently start no kernel."""

    kernels: list[Kernel]
    issued: int


def _passes(model: Any, lengths: Sequence[int], answers: int, compiled: bool) -> tuple[_Pass, _Pass]:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers, _ = fusible_layers(model)
    count, total = _Counter(lengths), sum(lengths)
    with contextlib.ExitStack() as stack:
        stack.enter_context(fused(layers))
        stack.enter_context(attending(base, documents.NAME))
        if compiled:
            stack.enter_context(elementwise_parts(base, count.as_one_kernel))
        stack.callback(model.train, model.training)
        model.train()
        stack.enter_context(count)
        positions = torch.zeros(answers, dtype=torch.long, device="meta")
        starts = torch.zeros(len(lengths) + 1, dtype=torch.int32, device="meta")
        logits = model(
            input_ids=torch.zeros(1, total, dtype=torch.long, device="meta"),
            position_ids=torch.zeros(1, total, dtype=torch.long, device="meta"),
            documents=Documents(tuple(lengths), starts, max(lengths)),
            use_cache=False,
            logits_to_keep=positions,
        ).logits[0]
        loss = cross_entropy(logits.float(), positions, reduction="sum")
        forward = count.taken()
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in model.parameters():
            parameter.grad = None
        return forward, count.taken()


class _Counter(TorchDispatchMode):
    """Writes down the kernels of what runs within it."""

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pairs = sum(n * n for n in lengths) / 2  # of a token and one that it attends to
        self._kernels: list[Kernel] = []
        self._issued = 0
        self._within_one = False

    def taken(self) -> _Pass:
        taken = _Pass(self._kernels, self._issued)
        self._kernels, self._issued = [], 0
        return taken

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self._issued += 1
        if not self._within_one and not _is_free(func):
            inputs, outputs = _tensors((args, kwargs)), _tensors(output)
            self._kernels.append(Kernel(self._operations(func, args, kwargs, output), _bytes([*inputs, *outputs])))
        return output

    def _operations(self, func: Any, args: Any, kwargs: Any, output: Any) -> float:
        if "varlen_attn" in str(func):  # torch's count takes all documents for the longest one, and sees no mask
            query = next(tensor for tensor in _tensors(args) if tensor.dim() == 3)  # [T, H, d]
            times = _ATTENTION_BACKWARD if "backward" in str(func) else 1.0
            return times * 4.0 * query.shape[1] * query.shape[2] * self._pairs / _ATTENTION_RATE
        counted = flop_registry.get(_out_of_place(func))
        return 0.0 if counted is None else float(counted(*args, **(kwargs or {}), out_val=output))

    def as_one_kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Stands for `function` compiled: one kernel forward and one backward, which read and write its arguments."""

        def one(*inputs: Any, **named: Any) -> Any:
            if named or not all(isinstance(x, Tensor) for x in inputs):
                return function(*inputs, **named)
            return _OneKernel.apply(self, function, *inputs)  # type: ignore[no-untyped-call]

        return one

    def run_as_one(self, function: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
        self._within_one = True
        try:
            output = function(*inputs)
        finally:
            self._within_one = False
        self._kernels.append(Kernel(0.0, _bytes([*inputs, *_tensors(output)])))
        return output

    def ran(self, tensors: Sequence[Tensor]) -> None:
        self._kernels.append(Kernel(0.0, _bytes(tensors)))


class _OneKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counter: _Counter, function: Callable[..., Any], *inputs: Tensor) -> Any:
        ctx.counter = counter
        ctx.save_for_backward(*inputs)
        return counter.run_as_one(function, inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        wanted = ctx.needs_input_grad[2:]
        made = [torch.empty_like(x) if want else None for x, want in zip(ctx.saved_tensors, wanted, strict=True)]
        ctx.counter.ran([*ctx.saved_tensors, *gradients, *(tensor for tensor in made if tensor is not None)])
        return None, None, *made


def _is_free(func: Any) -> bool:
    """Whether an operation only looks at memory in another way, or asks for some."""
    return bool(func.is_view) or func._schema.name in ("aten::empty", "aten::empty_like", "aten::_unsafe_view")


def _out_of_place(func: Any) -> Any:
    """`addmm` for `addmm_`, which counts the same."""
    packet = func._overloadpacket
    return getattr(torch.ops.aten, packet.__name__.removesuffix("_"), packet)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
