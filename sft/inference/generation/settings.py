"""What is asked of generation, in transformers' terms: greedy unless the config says otherwise."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList, StopStringCriteria

from sft.errors import SftError
from sft.models.load import LoadedModel

# transformers refuses whole numbers here, and JSONNET writes 2.0 as 2.
_FLOATS = ("temperature", "repetition_penalty", "encoder_repetition_penalty")


@dataclass(frozen=True)
class Decoding:
    """config: everything that transformers knows of. separator: a text that begins what comes after an answer."""

    config: GenerationConfig
    separator: str | None = None

    @property
    def max_new_tokens(self) -> int:
        limit: int = self.config.max_new_tokens
        return limit

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return frozenset(self.config.eos_token_id)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        stop = self.config.stop_strings
        return (stop,) if isinstance(stop, str) else tuple(stop or ())

    @property
    def mode(self) -> str:
        """Of transformers' generation modes: `greedy_search`, `sample`, `beam_search`, `beam_sample`, …"""
        value: str = self.config.get_generation_mode().value
        return value

    def for_generate(self, max_new_tokens: int) -> GenerationConfig:
        """Without stop strings, which `generate` doesn't take beside a way of sampling of our own."""
        config = copy.deepcopy(self.config)
        config.max_new_tokens, config.stop_strings = max_new_tokens, None
        return config

    def stop_criteria(self, tokenizer: Any) -> list[StopStringCriteria]:
        """Which rows have just completed a stop string."""
        return [StopStringCriteria(tokenizer, list(self.stop_strings))] if self.stop_strings else []


class Prepared(NamedTuple):
    """What `generate` makes of a config: what changes the scores of a step, and what ends a row but stop strings."""

    processors: LogitsProcessorList
    criteria: StoppingCriteriaList


def generation_config(
    loaded: LoadedModel, arguments: dict[str, Any], eot_id: int, max_new_tokens: int
) -> GenerationConfig:
    """`arguments` over our defaults, with the end-of-turn and any EOS that the model's own config names as ends.

    Raises `SftError` for what transformers refuses.
    """
    tokenizer: Any = loaded.tokenizer
    own = loaded.base_model.generation_config
    ends = own.eos_token_id if own is not None else None
    ends = ends if isinstance(ends, list) else [ends]
    eos = dict.fromkeys(token for token in (eot_id, tokenizer.eos_token_id, *ends) if token is not None)
    settings = {"do_sample": False, "max_new_tokens": max_new_tokens, **arguments}
    settings |= {name: float(settings[name]) for name in _FLOATS if isinstance(settings.get(name), int)}
    try:
        config = GenerationConfig(
            **settings,
            eos_token_id=list(eos),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )
        config.validate()
    except (TypeError, ValueError) as error:
        raise refused(error) from error
    return config


def prepared(loaded: LoadedModel, decoding: Decoding) -> Prepared:
    """As `generate` would prepare them, for processors and criteria to which the prompts don't matter."""
    found: list[Prepared] = []

    def prepare_only(model: Any, input_ids: Any, logits_processor: Any, stopping_criteria: Any, **_: Any) -> Any:
        found.append(Prepared(logits_processor, stopping_criteria))
        return input_ids

    ids = torch.full((1, 1), loaded.tokenizer.pad_token_id, device=loaded.device)
    with in_place_of_own(loaded, decoding.for_generate(decoding.max_new_tokens)):
        loaded.base_model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), custom_generate=prepare_only)
    return found[0]


@contextlib.contextmanager
def in_place_of_own(loaded: LoadedModel, config: GenerationConfig) -> Iterator[None]:
    """`generate` fills what a given config leaves open from the model's own, so the model's own is replaced."""
    base = loaded.base_model
    before, base.generation_config = base.generation_config, config
    try:
        yield
    finally:
        base.generation_config = before


def refused(error: Exception) -> SftError:
    return SftError(f"inference.generation_args: transformers refuses them: {error}")
