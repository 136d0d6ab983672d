"""Making a prompt fit: which in-context examples go, and how far inputs are shortened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sft.errors import PromptError
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import Demonstration


@dataclass
class TruncationCounts:
    """What was cut from the prompts of one stage (training or inference)."""

    prompts: int = 0
    input_columns_cut: int = 0
    outputs_cut: int = 0
    prompts_without_some_examples: int = 0
    examples_dropped: int = 0
    prompts_with_shortened_input: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    @property
    def exceeded(self) -> bool:
        """Whether some prompt didn't fit the limit."""
        return self.examples_dropped > 0 or self.prompts_with_shortened_input > 0

    def warning(self, stage: str) -> str | None:
        """One sentence on what didn't fit the limit, or None when everything did."""
        if not self.exceeded:
            return None
        return (
            f"{stage}: of {self.prompts} prompts, {self.prompts_without_some_examples} lost in-context examples "
            f"({self.examples_dropped} in all) and {self.prompts_with_shortened_input} had their input shortened to "
            "fit the length limit"
        )


class Fitted(NamedTuple):
    """What is left of a prompt's parts."""

    demonstrations: Sequence[Demonstration]
    inputs: Mapping[str, str]


def fit(
    demonstrations: Sequence[Demonstration],
    inputs: Mapping[str, str],
    *,
    length: Callable[[Sequence[Demonstration], Mapping[str, str]], int],
    limit: int | None,
    encoder: TextEncoder,
    counts: TruncationCounts,
) -> Fitted:
    """Drop in-context examples, the farthest first, then shorten the input, until `length` is at most `limit`.

    length: tokens of prompt and answer together. Raises `PromptError` when not even an empty input fits.
    """
    counts.prompts += 1
    if limit is None or length(demonstrations, inputs) <= limit:
        return Fitted(demonstrations, inputs)
    dropped = _smallest(len(demonstrations), lambda n: length(demonstrations[n:], inputs) <= limit)
    if dropped is None:
        dropped = len(demonstrations)
        inputs = _shortened(inputs, lambda shorter: length([], shorter) <= limit, encoder)
        needed = length([], inputs)
        if needed > limit:
            raise PromptError(
                f"the instruction, the answer and the format's own tokens need {needed} tokens, the limit is {limit}",
                "raise training.trainer_args.max_length or inference.max_seq_length, shorten the instruction, or (for "
                "generation) set prompting.max_output_length",
            )
        counts.prompts_with_shortened_input += 1
    counts.prompts_without_some_examples += dropped > 0
    counts.examples_dropped += dropped
    return Fitted(demonstrations[dropped:], inputs)


def _shortened(
    inputs: Mapping[str, str], fits: Callable[[Mapping[str, str]], bool], encoder: TextEncoder
) -> Mapping[str, str]:
    """The inputs with the longest columns cut to one common number of tokens, as large as fits (possibly 0)."""

    def cut_by(n: int) -> Mapping[str, str]:
        return {column: encoder.cut(text, longest - n) for column, text in inputs.items()}

    longest = max(encoder.count(text) for text in inputs.values())
    n = _smallest(longest, lambda n: fits(cut_by(n)))
    return cut_by(longest if n is None else n)


def _smallest(maximum: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest n in 0..maximum for which a monotone condition holds, by bisection; None if for none."""
    if not holds(maximum):
        return None
    low, high = 0, maximum
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high
