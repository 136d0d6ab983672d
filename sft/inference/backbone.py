"""The model without its language-model head, for ways to run it through an attention of our own."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedModel

from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel


def backbone(loaded: LoadedModel) -> Any:
    """Raises `UnsupportedModelError` where attention or positions can't be given from outside."""
    model: Any = loaded.base_model
    if not model._can_set_attn_implementation():
        raise UnsupportedModelError(f"{type(model).__name__} doesn't attend through transformers' attention interface")
    inner = [child for child in model.children() if isinstance(child, PreTrainedModel)]
    if len(inner) != 1:
        raise UnsupportedModelError(f"{type(model).__name__} has {len(inner)} inner models beside its head")
    if "position_ids" not in inspect.signature(inner[0].forward).parameters:
        raise UnsupportedModelError(f"{type(inner[0]).__name__} takes no position ids")
    return inner[0]


@contextlib.contextmanager
def attending(model: Any, name: str) -> Iterator[None]:
    """Within it, the transformers model `model` attends by the attention function of this name."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def refuse_own_masks(module: Any, *masks: Any) -> None:
    """Raises `UnsupportedModelError` where a layer brings a mask or bias, for which our attention has no place."""
    if any(mask is not None for mask in masks):
        raise UnsupportedModelError(f"{type(module).__name__} brings a mask or bias of its own")


def refuse_other_layers(loaded: LoadedModel, attended: int) -> None:
    """Raises `UnsupportedModelError` unless `attended` layers are all that there are."""
    n_layers = int(loaded.base_model.config.get_text_config().num_hidden_layers)
    if attended != n_layers:
        raise UnsupportedModelError(f"{attended} of {n_layers} layers attend through transformers' attention interface")
