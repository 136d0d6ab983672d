"""The weights of a quantised model as its checkpoint has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sft.errors import ModelError
from sft.initialization.factors import LowRankFactors
from sft.initialization.utils import dequantize

_WRAPPER = "base_model.model."


def original_weights(model: Any, factors: Sequence[LowRankFactors]) -> Iterator[tuple[LowRankFactors, Tensor]]:
    """Each of the factors with its layer's weight `[out, in]` of the checkpoint, on the layer's device.

    Raises `ModelError` where the model isn't quantised, or its checkpoint isn't there as plain safetensors.
    """
    if getattr(model.config, "quantization_config", None) is None:
        raise ModelError("initialisation 'loftq': the model isn't quantised", "add model.quantization, or take another")
    shards = _shards(str(model.config._name_or_path))
    prefix = getattr(model.get_base_model(), "base_model_prefix", "") + "."
    for one in factors:
        name = one.name.removeprefix(_WRAPPER) + ".weight"
        tensor = shards.get(name)
        if tensor is None:
            tensor = shards.get(name.removeprefix(prefix))
        weight = dequantize(one.layer)
        if tensor is None or sorted(tensor.shape) != sorted(weight.shape) or not tensor.is_floating_point():
            raise ModelError(
                f"initialisation 'loftq': the checkpoint has no unquantised weight {name!r}",
                "LoftQ needs a checkpoint that is quantised when it is loaded",
            )
        yield one, _oriented(tensor.to(weight), weight)


class _Shards:
    """Tensors of a checkpoint by name, read when asked for."""

    def __init__(self, file_of: dict[str, str]) -> None:
        self._file_of = file_of

    def get(self, name: str) -> Tensor | None:
        from safetensors import safe_open

        if name not in self._file_of:
            return None
        with safe_open(self._file_of[name], framework="pt", device="cpu") as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor


def _shards(checkpoint: str) -> _Shards:
    from safetensors import safe_open
    from transformers.utils import cached_file
    from transformers.utils.hub import get_checkpoint_shard_files

    missing = ModelError(
        f"initialisation 'loftq': {checkpoint!r} has no safetensors weights", "convert the checkpoint to safetensors"
    )
    try:
        index = cached_file(checkpoint, "model.safetensors.index.json", _raise_exceptions_for_missing_entries=False)
        single = cached_file(checkpoint, "model.safetensors", _raise_exceptions_for_missing_entries=False)
    except OSError as error:
        raise missing from error
    files = [single] if index is None else get_checkpoint_shard_files(checkpoint, index)[0]
    if files == [None]:
        raise missing
    file_of = {}
    for path in files:
        with safe_open(path, framework="pt", device="cpu") as file:
            file_of.update(dict.fromkeys(file.keys(), str(path)))
    return _Shards(file_of)


def _oriented(tensor: Tensor, weight: Tensor) -> Tensor:
    """As `[out, in]`: layers like GPT-2's store the transpose, which for a square one only the values tell."""
    if tensor.shape != weight.shape:
        return tensor.T
    if tensor.shape[0] == tensor.shape[1]:
        as_is, transposed = (torch.linalg.matrix_norm(one - weight) for one in (tensor, tensor.T))
        return tensor if bool(as_is <= transposed) else tensor.T
    return tensor
