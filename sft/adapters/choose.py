"""From the config's name to the method."""

from __future__ import annotations

from sft.adapters.base import AdapterMethod, adapter_registry
from sft.adapters.experimental import REFUSED
from sft.config.schema import MethodConfig
from sft.errors import SftError


def method_of(adapter: MethodConfig) -> AdapterMethod:
    """A fresh method for one training. Raises `SftError` for a name that can't be trained here."""
    if adapter.method in REFUSED and adapter.method not in adapter_registry:
        raise SftError(f"adapter.method: {adapter.method!r} can't be trained here: {REFUSED[adapter.method]}")
    return adapter_registry[adapter.method]()
