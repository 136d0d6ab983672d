"""Quantised loading: what a checkpoint or `model.quantization` asks for, and how to hand it to transformers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from sft.config.schema import ModelConfig, QuantizationConfig
from sft.errors import MissingPackageError, ModelError, SftError
from sft.models.quantized import QuantizedKind, Settings, quantised_layers, quantized_registry
from sft.models.source import ModelSource

_HUB_ARGS = ("cache_dir", "local_files_only", "revision", "subfolder", "token")


@dataclass(frozen=True)
class Quantization:
    """How the weights of a model are quantised.

    method: the `quant_method` of a checkpoint. prequantised: the checkpoint holds quantised weights; else they are made
    when it is loaded. settings: what the checkpoint says, else `asked`. asked: `model.quantization.args`.
    """

    method: str
    kind: QuantizedKind
    prequantised: bool
    settings: Settings
    asked: Settings

    def config(self) -> Any:
        """The object for `from_pretrained`, None where the checkpoint says it all."""
        if not self.prequantised:
            return _made(self.kind.config_class, self.kind.arguments(self.asked))
        loading = self.kind.loading_arguments(self.settings)
        return _made(self.kind.config_class, {**loading, **self.asked}) if loading else None

    def why_not(self) -> Exception | None:
        """What keeps the weights from being made, where loading failed; None where nothing is known of it."""
        return None if self.prequantised else self.kind.why_not(self.asked)

    def describe(self, model: Any) -> dict[str, Any]:
        """What a record says of it. layers: how many are quantised in memory; backend: their class."""
        layers = quantised_layers(model)
        layer = layers[0].layer if layers else None
        return {
            "method": self.method,
            **self.kind.describe(self.settings, layer),
            "prequantised": self.prequantised,
            "layers": len(layers),
            "backend": None if layer is None else type(layer).__name__,
        }


def find_quantization(config: ModelConfig, source: ModelSource) -> Quantization | None:
    """None for weights that aren't quantised and aren't to be.

    Raises `SftError` where a package or a device is missing, or `model.quantization` doesn't go with the checkpoint.
    """
    stored = _stored_settings(config, source)
    if stored is None and config.quantization is None:
        return None
    asked = {} if config.quantization is None else config.quantization.args
    if stored is None:
        assert config.quantization is not None
        found = _made_when_loading(config.quantization)
    else:
        method = _method(stored)
        kind = quantized_registry[method] if method in quantized_registry else QuantizedKind()
        found = Quantization(method, kind, True, stored, asked)
        if config.quantization is not None and config.quantization.config_class != kind.config_class:
            raise ModelError(
                f"model.quantization names {config.quantization.config_class}, and the weights of {source.base!r} are "
                f"quantised already, by {method}",
                f"remove model.quantization{f', or name {kind.config_class}' if kind.config_class else ''}",
            )
    for package in found.kind.packages:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, f"a model quantised by {found.method}", found.kind.install)
    found.kind.check(found.settings, prequantised=found.prequantised)
    return found


def _made_when_loading(config: QuantizationConfig) -> Quantization:
    for method, kind in quantized_registry.items():
        if kind.config_class == config.config_class:
            return Quantization(method, kind, False, config.args, config.args)
    kind = QuantizedKind()
    kind.config_class = config.config_class
    return Quantization(config.config_class, kind, False, config.args, config.args)


def _stored_settings(config: ModelConfig, source: ModelSource) -> dict[str, Any] | None:
    """The `quantization_config` of a checkpoint's config.json."""
    from transformers import PretrainedConfig

    args = {name: value for name, value in config.model_args.items() if name in _HUB_ARGS}
    try:
        values, _ = PretrainedConfig.get_config_dict(source.base, **args)
    except (OSError, ValueError):
        return None  # loading the model will say what is wrong, and more of it
    stored = values.get("quantization_config")
    return dict(stored) if isinstance(stored, dict) else None


def _method(stored: Settings) -> str:
    """Checkpoints that early versions of bitsandbytes' integration wrote name no method."""
    is_bitsandbytes = stored.get("load_in_8bit") or stored.get("load_in_4bit")
    return "bitsandbytes" if is_bitsandbytes else str(stored.get("quant_method"))


def quantization_config(config: QuantizationConfig) -> Any:
    """The transformers object that a config names. Only quantization configs of transformers can be named."""
    return _made(config.config_class, _made_when_loading(config).kind.arguments(config.args))


def _made(config_class: str, args: dict[str, Any]) -> Any:
    import transformers
    from transformers.utils.quantization_config import QuantizationConfigMixin

    quantization_class = getattr(transformers, config_class, None)
    if not (isinstance(quantization_class, type) and issubclass(quantization_class, QuantizationConfigMixin)):
        raise SftError(
            f"model.quantization.config_class: {config_class!r} is no quantization config of transformers",
            "see `sft config schema`",
        )
    try:
        return quantization_class(**args)
    except (TypeError, ValueError, ImportError) as error:
        raise SftError(f"model.quantization.args: {config_class} refuses them: {error}") from error
