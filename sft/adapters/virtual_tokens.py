"""Adapters that put trained vectors before every prompt and leave the layers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sft.adapters.base import adapter_registry
from sft.adapters.peft_method import PeftMethod

_TOKENS = 20


class VirtualTokens(PeftMethod):
    """They take `num_virtual_tokens` (20) of the model's positions."""

    starts_at_base = False
    defaults: ClassVar = {"num_virtual_tokens": _TOKENS}

    def virtual_tokens(self, args: Mapping[str, Any]) -> int:
        return int(args.get("num_virtual_tokens") or _TOKENS)


@adapter_registry.register("prompt_tuning")
class PromptTuning(VirtualTokens):
    """Lester et al. 2021, arXiv 2104.08691. The vectors start as embeddings of random tokens, as the paper advises."""

    peft_name = "prompt_tuning"
    defaults: ClassVar = {**VirtualTokens.defaults, "prompt_tuning_init": "SAMPLE_VOCAB"}


class VirtualCache(VirtualTokens):
    """Keys and values before those of the prompt. Layers whose activations are computed again don't see them."""

    recomputes = False


@adapter_registry.register("prefix_tuning")
class PrefixTuning(VirtualCache):
    """Li and Liang 2021, arXiv 2101.00190."""

    peft_name = "prefix_tuning"


@adapter_registry.register("cartridge")
class Cartridge(VirtualCache):
    """Eyuboglu et al. 2025, arXiv 2506.06266."""

    experimental = True
    peft_name = "cartridge"


@adapter_registry.register("p_tuning")
class PTuning(VirtualTokens):
    """Liu et al. 2021, arXiv 2103.10385."""

    experimental = True
    peft_name = "p_tuning"
