"""Which metrics a first look needs."""

from __future__ import annotations

from collections.abc import Iterable

_HEADLINES = (
    "accuracy", "macro_f1", "mcc", "ece", "invalid_rate",
    "schema_valid", "exact_match", "field_f1", "no_answer_rate", "token_f1",
    "bleu", "chrf", "rouge1", "rouge2", "rougeL",
)  # fmt: skip
_OF_LABEL_SETS = ("micro_f1", "macro_f1", "subset_accuracy", "jaccard", "lrap")


def headlines(present: Iterable[str]) -> list[str]:
    """The usual ones in a fixed order; all of them where there is no usual one."""
    present = list(dict.fromkeys(present))
    usual = _OF_LABEL_SETS if "subset_accuracy" in present else _HEADLINES
    return [name for name in usual if name in present] or present
