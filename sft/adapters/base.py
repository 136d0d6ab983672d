"""What an adapter method is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from sft.config.schema import MethodConfig
from sft.errors import Problem, SftError
from sft.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from sft.initialization.factors import LowRankFactors
    from sft.initialization.residual import Residual


class AdapterMethod:
    """How one kind of trainable parts gets on a model. A new one overrides `wrap`, and what else differs.

    One object serves one training. experimental: known to train, and no more. starts_at_base: whether it is promised
    that the first output is the base model's. can_resume: whether a training goes on from a trainer's checkpoint.
    recomputes: whether activations may be computed again in the backward pass (gradient checkpointing). changes_base:
    whether the base model's own weights are what is trained.
    """

    experimental = False
    starts_at_base = True
    can_resume = True
    recomputes = True
    changes_base = False

    @classmethod
    def problems(cls, args: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with `adapter.args` (keys relative to them), found without importing torch.

        Names of arguments that PEFT takes are checked elsewhere already.
        """
        return []

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        """The model with the adapter on it.

        args: `adapter.args` (or `lora`) of the config. Random numbers come from torch's global generator, which the
        caller seeds. Raises `SftError` for arguments that the method refuses.
        """
        raise NotImplementedError

    def virtual_tokens(self, args: Mapping[str, Any]) -> int:
        """Positions that the adapter takes from every sequence."""
        return 0

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
        """Make residuals part of the trained adapter, so that it fits the original base model.

        Called only where the method can start anywhere.
        """
        raise NotImplementedError

    def before_training(self, model: Any, steps: int) -> None:
        """Called when the number of optimizer steps is known."""

    def penalty(self, model: Any) -> Tensor | None:
        """What is added to the loss of an optimizer step."""
        return None

    def after_step(self, model: Any, step: int) -> None:
        """Called after the optimizer's step (1, 2, …), while the gradients are still there."""

    def after_training(self, model: Any) -> None:
        """Bring the trained model into the form that it will have when it is loaded again."""


def refused(method: str, error: Exception) -> NoReturn:
    """Raise `SftError` for arguments that PEFT refuses."""
    raise SftError(f"{method}: PEFT refuses the arguments: {error}", f"see PEFT's documentation of {method}") from error


REFUSALS = (TypeError, ValueError, KeyError, ImportError, NotImplementedError)
"""What PEFT raises for arguments that it doesn't take."""

adapter_registry: Registry[type[AdapterMethod]] = Registry("adapter method")
