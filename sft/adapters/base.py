"""What an adapter method is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from sft.config.schema import MethodConfig
from sft.errors import SftError
from sft.registry import Registry

if TYPE_CHECKING:
    from sft.initialization.factors import LowRankFactors
    from sft.initialization.residual import Residual


class AdapterMethod:
    """How one kind of trainable parts gets on a model. A new one overrides `wrap`, and what else differs.

    One object serves one training. experimental: known to train, and no more.
    """

    experimental = False

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        """The model with the adapter on it.

        args: `adapter.args` (or `lora`) of the config. Random numbers come from torch's global generator, which the
        caller seeds. Raises `SftError` for arguments that the method refuses.
        """
        raise NotImplementedError

    def initialization(self, args: Mapping[str, Any]) -> MethodConfig | None:
        """The entry of `initializer_registry` that the arguments name, None where PEFT initialises by itself."""
        return None

    def factors(self, model: Any) -> list[LowRankFactors]:
        """The low-rank factors that an initializer may set; none for methods without such factors."""
        return []

    def can_start_anywhere(self, args: Mapping[str, Any]) -> bool:
        """Whether factors may start with a product that isn't zero, whose residual `fold` can then take in."""
        return False

    def fold(self, model: Any, residuals: list[Residual]) -> None:
        """Make residuals part of the trained adapter, so that it fits the original base model."""
        raise NotImplementedError


def refused(method: str, error: Exception) -> NoReturn:
    """Raise `SftError` for arguments that PEFT refuses."""
    raise SftError(f"{method}: PEFT refuses the arguments: {error}", f"see PEFT's documentation of {method}") from error


REFUSALS = (TypeError, ValueError, KeyError, ImportError, NotImplementedError)
"""What PEFT raises for arguments that it doesn't take."""

adapter_registry: Registry[type[AdapterMethod]] = Registry("adapter method")
