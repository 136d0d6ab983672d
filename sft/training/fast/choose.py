"""How a training's steps are computed: found out by asking, and by trying it on rows of the training.

Each choice falls back to what TRL and PEFT do, and says why. None changes what is computed beyond rounding.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch

from sft.distributed import gathered
from sft.errors import TrainingError
from sft.inference.backbone import attending
from sft.models.load import LoadedModel
from sft.prompting.labelled import LabelledIds
from sft.training.fast import documents
from sft.training.fast.compiled import compiled_parts
from sft.training.fast.lora import fused, fusible_layers
from sft.training.fast.trial import compiled_differs, flat_differs
from sft.training.sharded import is_sharded

logger = logging.getLogger(__name__)

Batches = Literal["auto", "flat", "padded"]
# Compiling takes some ten seconds and saves a fifth: it pays where a GPU computes for a minute.
WORTH_COMPILING = 2e16
_SPREAD = "one process spreads its batches over several GPUs (DataParallel)"
# What a flat batch would leave out, or have for all its tokens as for one long sequence (the noise of NEFTune).
_PADDED_FOR = (
    "packing",
    "padding_free",
    "use_liger_kernel",
    "torch_compile",
    "activation_offloading",
    "deepspeed",
    "neftune_noise_alpha",
)


class Foreseen(NamedTuple):
    """What is known of steps without running the model: each reason is None where only a trial can be against it.

    fused: the layers to fuse. why_padded: instead of flat.
    """

    fused: list[Any]
    why_not_fused: str | None
    why_padded: str | None
    why_not_compiled: str | None


@dataclass(frozen=True)
class StepChoice:
    """flat: whether batches have no padding. fused: LoRA layers computed by one function. compiled: whether elementwise
    parts are compiled. report: what a record says, with the reasons of what was not chosen.
    """

    flat: bool
    fused: list[Any]
    compiled: bool
    report: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def in_use(self, loaded: LoadedModel) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(fused(self.fused))
            if self.flat:
                stack.enter_context(attending(loaded.base_model, documents.NAME))
            if self.compiled:
                stack.enter_context(compiled_parts(loaded.base_model))
            yield


def choose_steps(
    loaded: LoadedModel,
    args: Any,
    rows: Sequence[LabelledIds],
    *,
    asked: Collection[str],
    batches: Batches = "auto",
    compiles: bool | Literal["auto"] = "auto",
) -> StepChoice:
    """For the model with its adapter on it.

    args: an `SFTConfig`, whose automatic mixed precision is turned off where the model computes in 16 bits already.
    asked: the arguments of it that the user gave. Raises `TrainingError` where what is asked for can't be.
    """
    layers, why_not_fused, why_padded, why_not_compiled = foresee_steps(
        loaded, args, rows, asked=asked, batches=batches, compiles=compiles
    )
    if why_padded is None:
        with fused(layers):
            why_padded = flat_differs(loaded, rows)
    why_padded = _said_by_any(why_padded)
    if why_padded is not None and batches == "flat":
        raise TrainingError(f"training.batches is flat, and can't be: {why_padded}", "set training.batches to auto")
    flat = why_padded is None
    if not flat:
        logger.info("batches are padded: %s", why_padded)
    if why_not_compiled is None:
        with fused(layers):
            why_not_compiled = _SPREAD if args.n_gpu > 1 else compiled_differs(loaded, rows)
        if why_not_compiled is not None and compiles is True:
            raise TrainingError(f"training.compile is true, and fails: {why_not_compiled}", "set it to false")
    why_not_compiled = _said_by_any(why_not_compiled)
    report = {
        "batches": "flat" if flat else "padded",
        "adapter": "fused" if layers else "peft",
        "compiled": why_not_compiled is None,
        "mixed_precision": args.mixed_precision,
        "why_not": {
            name: why
            for name, why in (("flat", why_padded), ("fused", why_not_fused), ("compiled", why_not_compiled))
            if why is not None
        },
    }
    return StepChoice(flat, layers, why_not_compiled is None, report)


def foresee_steps(
    loaded: LoadedModel,
    args: Any,
    rows: Sequence[LabelledIds],
    *,
    asked: Collection[str],
    batches: Batches = "auto",
    compiles: bool | Literal["auto"] = "auto",
) -> Foreseen:
    """What `choose_steps` knows before its trials, with the same arguments. The model may be on the meta device."""
    layers, why_not_fused = _fusible(loaded, args, asked)
    why_padded = "training.batches" if batches == "padded" else _why_padded(loaded, args)
    return Foreseen(layers, why_not_fused, why_padded, _why_not_compiled(loaded, args, rows, compiles))


def _said_by_any(reason: str | None) -> str | None:
    """What keeps one of several processes from computing in a way keeps all."""
    return next((one for one in gathered(reason) if one is not None), None)


def _fusible(loaded: LoadedModel, args: Any, asked: Collection[str]) -> tuple[list[Any], str | None]:
    """The layers to fuse, or why none. Turns mixed precision off where nothing needs it then."""
    layers, others = fusible_layers(loaded.model)
    if args.n_gpu > 1:
        return [], _SPREAD
    if not layers:
        return [], "there is no plain LoRA without dropout on plain linear layers"
    if args.fsdp or args.deepspeed or is_sharded():
        return [], "weights are sharded"
    if args.fp16:
        return [], "training.trainer_args.fp16"
    dtypes = {layer.base_layer.weight.dtype for layer in layers}
    if args.bf16 or args.mixed_precision != "no":
        if "bf16" in asked:
            return [], "training.trainer_args.bf16"
        if dtypes != {torch.bfloat16}:
            return [], "the model's weights are cast for every operation (mixed precision)"
        if others:
            return [], f"{others} trained parameters beside these factors need mixed precision"
        args.bf16, args.mixed_precision = False, "no"
    return layers, None


def _why_padded(loaded: LoadedModel, args: Any) -> str | None:
    if args.n_gpu > 1:
        return _SPREAD
    for name in _PADDED_FOR:
        if getattr(args, name, None):
            return f"training.trainer_args.{name}"
    if args.loss_type != "nll":
        return f"training.trainer_args.loss_type: {args.loss_type}"
    model = loaded.base_model
    config = model.config.get_text_config()
    if getattr(args, "router_aux_loss_coef", None) or (
        hasattr(config, "output_router_logits") and getattr(config, "router_aux_loss_coef", 0.0)
    ):
        return "the loss has a part for the router of experts"
    if loaded.virtual_tokens:
        return "the adapter puts vectors of its own before every sequence"
    if len(set((getattr(model, "hf_device_map", None) or {"": ""}).values())) > 1:
        return "the model is on several devices"
    parameters = inspect.signature(type(model).forward).parameters
    if not model._can_set_attn_implementation() or not {"position_ids", "logits_to_keep"} <= parameters.keys():
        return f"{type(model).__name__} doesn't attend through transformers' attention interface"
    return None


def _why_not_compiled(
    loaded: LoadedModel, args: Any, rows: Sequence[LabelledIds], compiles: bool | Literal["auto"]
) -> str | None:
    if compiles is True:
        return None
    if compiles is False:
        return "training.compile"
    if loaded.device.type != "cuda":
        return "it is for GPUs"
    tokens = sum(len(row.ids) for row in rows)
    epochs = args.num_train_epochs
    if args.max_steps > 0:
        epochs = args.max_steps * args.per_device_train_batch_size * args.gradient_accumulation_steps / len(rows)
    if not worth_compiling(loaded.base_model, tokens * epochs):
        return "the training is too short for it"
    return None


def worth_compiling(model: Any, tokens: float) -> bool:
    """Whether a training on so many tokens, each as often as it is read, is long enough on a GPU.

    Two operations per weight and token forward, and as many backward for the gradients of activations.
    """
    parameters: int = sum(parameter.numel() for parameter in model.parameters())
    return 4.0 * parameters * tokens >= WORTH_COMPILING
