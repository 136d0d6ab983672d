"""What a decoder is: one way to let a model continue prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sft.inference.batching import BatchSize
from sft.inference.generation.constraint import Constraint
from sft.inference.generation.settings import Decoding
from sft.models.load import LoadedModel
from sft.registry import Registry


class Prompt(NamedTuple):
    """A prompt's tokens, the number of its row (which its draws depend on), and how many tokens may follow."""

    number: int
    ids: list[int]
    limit: int


@dataclass(frozen=True)
class DecoderOptions:
    """batch_size: rows that are generated at a time. constraint: what the texts may be."""

    batch_size: BatchSize = "auto"
    constraint: Constraint | None = None


# Is given a row's number and its new tokens, as soon as the row has ended.
Done = Callable[[int, list[int]], None]


class Decoder(Protocol):
    """Continues prompts, and hands over each row once; seed: of sampled tokens."""

    def __call__(self, prompts: Sequence[Prompt], seed: int, done: Done) -> None: ...


class DecoderMaker(Protocol):
    """Raises `UnsupportedModelError` for what can be known at once not to work, with the reason."""

    def __call__(self, loaded: LoadedModel, decoding: Decoding, options: DecoderOptions) -> Decoder: ...


decoder_registry: Registry[DecoderMaker] = Registry("decoder")
