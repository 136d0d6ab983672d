"""What a kind of quantised weights is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft.registry import Registry

# What a checkpoint's `quantization_config` or `model.quantization.args` says.
Settings = Mapping[str, Any]


class QuantizedKind:
    """What one kind of weights needs beside what transformers does for it: nothing, where a subclass doesn't say.

    config_class: transformers' class for it. packages: importable names that loading needs. install: how to get them.
    cpu_dtype: the type of all other weights on a CPU, unless the config chooses one; "auto": the checkpoint's own.
    """

    config_class = ""
    packages: tuple[str, ...] = ()
    install = ""
    cpu_dtype = "auto"

    def check(self, settings: Settings, *, prequantised: bool) -> None:
        """Raise `SftError` for what can't run on this machine. Called before anything is loaded."""

    def arguments(self, args: Settings) -> dict[str, Any]:
        """Arguments of `config_class`, made from those in a config, which are JSON."""
        return dict(args)

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        """Arguments of `config_class` that say how to load a checkpoint of this kind; those in a config win.

        Empty where transformers reads everything from the checkpoint.
        """
        return {}

    def why_not(self, args: Settings) -> Exception | None:
        """What keeps weights from being made as `args` say, where loading failed and transformers doesn't say it."""
        return None

    def guard(self, model: Any, asked: Settings) -> None:
        """Close known traps of a model that was just loaded. asked: `model.quantization.args`."""

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        """For the record: bits, type, group_size. layer: a quantised layer of the model, None where none is left."""
        return {"bits": settings.get("bits"), "type": None, "group_size": settings.get("group_size")}


quantized_registry: Registry[QuantizedKind] = Registry("kind of quantised weights")
