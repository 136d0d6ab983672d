"""Adapters of PEFT that need nothing of their own here, and are tested from training to loading again."""

from __future__ import annotations

from sft.adapters.base import adapter_registry
from sft.adapters.peft_method import peft_method

_PAPERS = {
    "ia3": "Liu et al. 2022, arXiv 2205.05638",
    "vera": "Kopiczko et al. 2023, arXiv 2310.11454",
    "loha": "Hyeon-Woo et al. 2021, arXiv 2108.06098",
    "lokr": "Yeh et al. 2023, arXiv 2309.14859",
    "oft": "Qiu et al. 2023, arXiv 2306.07280",
    "miss": "Kang and Yin 2024, arXiv 2409.15371",
}

for _name, _paper in _PAPERS.items():
    adapter_registry[_name] = peft_method(_name, __doc__=_paper)
