"""AdaLoRA (Zhang et al. 2023, arXiv 2303.10512): ranks move during training to where they matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sft.adapters.base import adapter_registry
from sft.adapters.lora import initialization_of, with_peft_initialization
from sft.adapters.peft_method import ADAPTER, PeftMethod
from sft.config.schema import MethodConfig
from sft.errors import Problem, SftError

if TYPE_CHECKING:
    from torch import Tensor

    from sft.initialization.factors import LowRankFactors

_INIT_R, _TARGET_R = 12, 8
# More steps than any schedule that a config may ask for, until the number of steps is known.
_ENDLESS = 10**12
# In `A E B / (ranknum + this)`.
_EPSILON = 1e-5


@adapter_registry.register("adalora")
class AdaLora(PeftMethod):
    """args: those of PEFT's `AdaLoraConfig`, without `total_step`, which is the number of optimizer steps.

    By default a tenth of the steps comes before (`tinit`) and three tenths after (`tfinal`) the ranks are chosen. TRL
    takes no loss from the model, so the orthogonality penalty that PEFT puts there is added here.
    """

    peft_name = "adalora"
    defaults: ClassVar = {"total_step": _ENDLESS}
    # A checkpoint holds the ranks that are left, which a fresh adapter doesn't have.
    can_resume = False

    def __init__(self) -> None:
        self._given: frozenset[str] = frozenset()

    @classmethod
    def problems(cls, args: Mapping[str, Any]) -> list[Problem]:
        problems = []
        if "total_step" in args:
            problems.append(Problem("total_step", "is the number of optimizer steps of the training", "remove it"))
        initial, target = args.get("init_r", _INIT_R), args.get("target_r", _TARGET_R)
        if isinstance(initial, int) and isinstance(target, int) and target >= initial:
            fix = "lower it, raise init_r, or take lora"
            problems.append(Problem("target_r", f"must be below init_r ({initial}), got {target}", fix))
        return problems

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        self._given = frozenset(args)
        return super().wrap(model, with_peft_initialization(args))

    def initialization(self, args: Mapping[str, Any]) -> MethodConfig | None:
        return initialization_of(args)

    def factors(self, model: Any) -> list[LowRankFactors]:
        """The singular values are the gate; PEFT divides the scaling by the layer's first rank."""
        from peft.tuners.adalora.layer import AdaLoraLayer

        from sft.initialization.factors import LowRankFactors

        return [
            LowRankFactors(
                name,
                module,
                module.get_base_layer(),
                module.lora_A[ADAPTER],
                module.lora_B[ADAPTER],
                module.scaling[ADAPTER] / (float(module.ranknum[ADAPTER]) + _EPSILON),
                module.lora_E[ADAPTER],
            )
            for name, module in model.named_modules()
            if isinstance(module, AdaLoraLayer) and ADAPTER in module.lora_A
        ]

    def before_training(self, model: Any, steps: int) -> None:
        config = model.peft_config[ADAPTER]
        config.total_step = steps
        if "tinit" not in self._given:
            config.tinit = steps // 10
        if "tfinal" not in self._given:
            config.tfinal = 3 * steps // 10
        # The last choice is made at step `steps - tfinal`, by what the steps before it have shown.
        if max(config.tinit, 1) >= steps - config.tfinal:
            raise SftError(
                f"adalora: tinit ({config.tinit}) and tfinal ({config.tfinal}) leave none of the {steps} steps to "
                "choose ranks in",
                "lower them, leave them out, or train for more steps",
            )

    def penalty(self, model: Any) -> Tensor:
        """`orth_reg_weight` times the mean of ‖A Aᵀ − I‖ and ‖Bᵀ B − I‖ over all layers."""
        import torch

        def distance(gram: Tensor) -> Tensor:
            norm: Tensor = torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device, dtype=gram.dtype))
            return norm

        factors = self.factors(model)
        device = factors[0].a.device
        norms = [distance(gram).to(device) for one in factors for gram in (one.a @ one.a.T, one.b.T @ one.b)]
        return torch.stack(norms).mean() * float(model.peft_config[ADAPTER].orth_reg_weight)

    def after_step(self, model: Any, step: int) -> None:
        model.base_model.update_and_allocate(step)

    def after_training(self, model: Any) -> None:
        """Take out the ranks that were given up, which a saved adapter doesn't hold."""
        tuner, config = model.base_model, model.peft_config[ADAPTER]
        if config.rank_pattern:
            tuner.rankallocator.mask_using_rank_pattern(tuner.model, config.rank_pattern)
            tuner.resize_modules_by_rank_pattern(config.rank_pattern, ADAPTER)
