"""Adapters of PEFT that need nothing of their own here, and are tested from training to loading again."""

from __future__ import annotations

from sft.adapters.base import adapter_registry
from sft.adapters.peft_method import PeftMethod


@adapter_registry.register("ia3")
class IA3(PeftMethod):
    """(IA)³, Liu et al. 2022, arXiv 2205.05638."""

    peft_name = "ia3"


@adapter_registry.register("vera")
class VeRA(PeftMethod):
    """Kopiczko et al. 2023, arXiv 2310.11454."""

    peft_name = "vera"


@adapter_registry.register("loha")
class LoHa(PeftMethod):
    """Hyeon-Woo et al. 2021, arXiv 2108.06098."""

    peft_name = "loha"


@adapter_registry.register("lokr")
class LoKr(PeftMethod):
    """Yeh et al. 2023, arXiv 2309.14859."""

    peft_name = "lokr"


@adapter_registry.register("oft")
class OFT(PeftMethod):
    """Qiu et al. 2023, arXiv 2306.07280."""

    peft_name = "oft"


@adapter_registry.register("miss")
class MiSS(PeftMethod):
    """Kang and Yin 2024, arXiv 2409.15371."""

    peft_name = "miss"
