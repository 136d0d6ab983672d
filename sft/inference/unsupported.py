"""Models that a way of running can't run."""

from __future__ import annotations

from sft.models.load import LoadedModel


class UnsupportedModelError(Exception):
    """An engine or decoder can't run this model, or not as asked; the message says why."""


def refuse_virtual_tokens(loaded: LoadedModel) -> None:
    """For what runs the transformers model itself, or continues its cache: PEFT would put the adapter's vectors
    nowhere, or before every continuation."""
    if loaded.virtual_tokens:
        raise UnsupportedModelError("the adapter puts virtual tokens before the prompt")
