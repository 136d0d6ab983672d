"""LoRA (Hu et al. 2021, arXiv 2106.09685) through PEFT, with initialisations of our registry or PEFT's own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft.adapters.base import adapter_registry
from sft.adapters.peft_method import ADAPTER, PeftMethod
from sft.config.schema import MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from sft.initialization.factors import LowRankFactors
    from sft.initialization.residual import Residual

_PISSA_NITER = re.compile(r"pissa_niter_(\d+)")


@adapter_registry.register("lora")
class Lora(PeftMethod):
    """args: everything that the installed `peft.LoraConfig` takes (`use_dora`, `use_rslora`, …).

    `init_lora_weights` may also name an entry of `initializer_registry`, which then replaces PEFT's of that name, or be
    `{"method": name, "args": {…}}`.
    """

    peft_name = "lora"

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        return super().wrap(model, with_peft_initialization(args))

    def initialization(self, args: Mapping[str, Any]) -> MethodConfig | None:
        return initialization_of(args)

    def factors(self, model: Any) -> list[LowRankFactors]:
        from peft.tuners.lora import LoraLayer

        from sft.initialization.factors import LowRankFactors

        return [
            LowRankFactors(
                name,
                module,
                module.get_base_layer(),
                module.lora_A[ADAPTER].weight,
                module.lora_B[ADAPTER].weight,
                module.scaling[ADAPTER],
            )
            for name, module in model.named_modules()
            if isinstance(module, LoraLayer) and ADAPTER in module.lora_A
        ]

    def can_start_anywhere(self, args: Mapping[str, Any]) -> bool:
        """Not with DoRA, whose magnitudes are those of the weight alone."""
        return not args.get("use_dora", False)

    def fold(self, model: Any, residuals: list[Residual]) -> None:
        """`B A − B0 A0 = [B, −B0] [A; A0]`: a plain LoRA of twice the rank, as PEFT converts PiSSA."""
        from peft.tuners.lora import LoraLayer

        by_module = {id(residual.factors.module): residual for residual in residuals}
        config = model.peft_config[ADAPTER]
        growth = math.sqrt(2) if config.use_rslora else 2  # keeps alpha / sqrt(r), or alpha / r
        for module in model.modules():
            if isinstance(module, LoraLayer) and ADAPTER in module.r:
                residual = by_module.get(id(module))
                _double(module, None if residual is None else (residual.a, residual.b))
                module.r[ADAPTER] *= 2
                module.lora_alpha[ADAPTER] *= growth
        config.r *= 2
        config.lora_alpha *= growth
        config.rank_pattern = {key: 2 * rank for key, rank in (config.rank_pattern or {}).items()}
        config.alpha_pattern = {key: growth * alpha for key, alpha in (config.alpha_pattern or {}).items()}


def initialization_of(args: Mapping[str, Any]) -> MethodConfig | None:
    """The entry of `initializer_registry` that `init_lora_weights` names, None where PEFT initialises by itself."""
    from sft.initialization.initializers import initializer_registry

    value = args.get("init_lora_weights", True)
    if isinstance(value, Mapping):
        return MethodConfig(**value)
    if not isinstance(value, str):
        return None
    found = _PISSA_NITER.fullmatch(value)
    if found:
        return MethodConfig(method="pissa", args={"niter": int(found[1])})
    return MethodConfig(method=value) if value in initializer_registry else None


def with_peft_initialization(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as PEFT takes them: an initialisation of ours comes after PEFT's own."""
    return dict(args) if initialization_of(args) is None else {**args, "init_lora_weights": True}


def _double(module: Any, start: tuple[Tensor, Tensor] | None) -> None:
    """Append `start` (A0, −B0), or zeros, to the factors of one layer."""
    import torch
    from torch import nn

    if ADAPTER in module.lora_A:
        a, b = module.lora_A[ADAPTER], module.lora_B[ADAPTER]
        a0, b0 = (torch.zeros_like(a.weight), torch.zeros_like(b.weight)) if start is None else start
        a.weight = nn.Parameter(torch.cat([a.weight.detach(), a0.to(a.weight)]), requires_grad=False)
        b.weight = nn.Parameter(torch.cat([b.weight.detach(), -b0.to(b.weight)], dim=1), requires_grad=False)
        a.out_features, b.in_features = a.weight.shape[0], b.weight.shape[1]
    if ADAPTER in module.lora_embedding_A:
        a, b = module.lora_embedding_A[ADAPTER], module.lora_embedding_B[ADAPTER]
        module.lora_embedding_A[ADAPTER] = nn.Parameter(torch.cat([a, torch.zeros_like(a)]), requires_grad=False)
        module.lora_embedding_B[ADAPTER] = nn.Parameter(torch.cat([b, torch.zeros_like(b)], 1), requires_grad=False)
