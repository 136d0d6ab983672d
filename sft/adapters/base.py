"""What an adapter method is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sft.registry import Registry


class AdapterMethod(Protocol):
    """Puts a trainable adapter on a loaded model and returns the wrapped model.

    args: `adapter.args` (or `lora`) of the config. Random numbers come from torch's global generator, which the caller
    seeds. Raises `SftError` for arguments that the method refuses.
    """

    def __call__(self, model: Any, args: Mapping[str, Any]) -> Any: ...


adapter_registry: Registry[AdapterMethod] = Registry("adapter method")
