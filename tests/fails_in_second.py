"""Imported by `--import`: scoring fails in the second of several processes, and in no other."""

from __future__ import annotations

from typing import Any

from sft.distributed import rank
from sft.errors import ModelError
from sft.inference import label_scorer

_scored = label_scorer._scored


def _fail(*arguments: Any) -> Any:
    if rank() == 1:
        raise ModelError("out of luck in the second process")
    return _scored(*arguments)


label_scorer._scored = _fail
