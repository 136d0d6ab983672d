"""A row's labels as one text that a model writes: "joy, love", in the order of the label set."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from sft.errors import DataError

SEPARATOR = ", "
NO_LABEL = "none"


class LabelLists:
    """The texts for sets of labels. Raises `DataError` for verbalisations that couldn't be read back."""

    def __init__(self, verbalisations: Sequence[str]) -> None:
        self._texts = [text.strip() for text in verbalisations]
        for text in self._texts:
            if text == NO_LABEL or SEPARATOR in text:
                what = f"{NO_LABEL!r} stands for no label" if text == NO_LABEL else f"{SEPARATOR!r} separates labels"
                raise DataError(
                    f"the label {text!r} can't be written in a list of labels: there, {what}",
                    "verbalise it otherwise in dataset.labels, or set inference.method to logits",
                )

    def text(self, labels: Collection[int]) -> str:
        return SEPARATOR.join(self._texts[label] for label in sorted(labels)) or NO_LABEL

    def labels(self, text: str) -> list[int]:
        """The labels that a text names; what is no label is left out."""
        parts = text.split(SEPARATOR)
        return [label for label, name in enumerate(self._texts) if name in parts]

    @property
    def grammar(self) -> str:
        """All texts and no others, in GBNF: each label at most once, in order. As many rules as labels, twice."""
        texts = [json.dumps(text, ensure_ascii=False) for text in self._texts]
        last = len(texts) - 1
        rules = [f"root ::= {json.dumps(NO_LABEL)} | first0"]
        for i, text in enumerate(texts):
            rest = f" rest{i + 1}" if i < last else ""
            rules.append(f"first{i} ::= {text}{rest}" + (f" | first{i + 1}" if i < last else ""))
            if i:
                others = f"rest{i + 1}" if i < last else '""'
                rules.append(f"rest{i} ::= {json.dumps(SEPARATOR)} {text}{rest} | {others}")
        return "\n".join(rules) + "\n"
