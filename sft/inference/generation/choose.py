"""Which decoder generates a run's answers: found out by asking it, and by trying it on prompts of the task.

Continuous batching is preferred wherever it serves: it never waits for the longest row of a batch, and reads what
prompts share once (docs/decisions/0012-generation.md has the measurements). It needs a model whose layers all attend
through transformers' attention interface and settings that look at a row's own scores alone. No list says which
architectures those are, so it generates a few tokens after two of the prompts, and what it saw is compared with a plain
forward pass over the same tokens.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sft.inference.backbone import backbone
from sft.inference.generation.decoders import Decoder, DecoderOptions, Prompt, decoder_registry
from sft.inference.generation.picking import Picked
from sft.inference.generation.session import Session
from sft.inference.generation.settings import Decoding
from sft.inference.generation.slot_attention import in_slots
from sft.inference.shared_prefixes import MIN_SHARED, common_length
from sft.inference.tolerance import agree
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel

logger = logging.getLogger(__name__)

PREFERRED, PLAIN = "continuous", "static"
_TRIAL_STEPS = 4


@dataclass(frozen=True)
class DecoderChoice:
    """The decoder to use, and why. rejected: decoder → reason, for one that is preferred to it."""

    name: str
    decoder: Decoder
    reason: str
    rejected: dict[str, str] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"name": self.name, "reason": self.reason, "rejected": self.rejected}


def choose_decoder(
    loaded: LoadedModel, decoding: Decoding, options: DecoderOptions, prompts: Sequence[Prompt]
) -> DecoderChoice:
    """The preferred decoder where it can do what is asked, and agrees with the model on two of the prompts."""
    try:
        preferred = decoder_registry[PREFERRED](loaded, decoding, options)
    except UnsupportedModelError as error:
        return _plain(loaded, decoding, options, str(error))
    if len(prompts) <= 2:
        return _plain(loaded, decoding, options, "there is too little to generate for a comparison to pay")
    try:
        difference = _difference(loaded, _trial_prompts(prompts, decoding.max_new_tokens))
    except UnsupportedModelError as error:
        return _plain(loaded, decoding, options, str(error))
    except Exception as error:  # an architecture nobody foresaw may fail anywhere; static batches still serve it
        return _plain(loaded, decoding, options, f"{type(error).__name__}: {error}".split("\n")[0])
    if difference is not None:
        return _plain(loaded, decoding, options, difference)
    return DecoderChoice(PREFERRED, preferred, "it agrees with a plain forward pass on two prompts")


def _plain(loaded: LoadedModel, decoding: Decoding, options: DecoderOptions, why: str) -> DecoderChoice:
    logger.info("answers are generated in static batches, and not continuously: %s", why)
    decoder = decoder_registry[PLAIN](loaded, decoding, options)
    return DecoderChoice(PLAIN, decoder, "it serves every model and setting", {PREFERRED: why})


def _trial_prompts(prompts: Sequence[Prompt], max_new_tokens: int) -> list[Prompt]:
    """The longest prompt, and the shortest of those that begin like it (of all, where none does)."""
    longest = max(prompts, key=lambda prompt: len(prompt.ids))
    ids = np.array(longest.ids)
    others = [prompt for prompt in prompts if prompt is not longest]
    alike = [prompt for prompt in others if common_length(np.array(prompt.ids), ids) >= MIN_SHARED]
    shortest = min(alike or others, key=lambda prompt: len(prompt.ids))
    steps = min(_TRIAL_STEPS, max_new_tokens)
    return [prompt._replace(limit=steps) for prompt in (longest, shortest)]


class _Watched:
    """Greedy, and remembers the logits of each step."""

    samples, tail = False, 0

    def __init__(self) -> None:
        self.logits: list[Tensor] = []

    def __call__(self, logits: Tensor, tails: Tensor, at: Tensor | None) -> Picked:
        self.logits.append(logits.float().cpu())
        return Picked(logits.argmax(dim=-1), None)


class _Endless:
    """Rows go on to their limits."""

    tokens: frozenset[int] = frozenset()

    def is_over(self, ids: Sequence[int]) -> bool:
        return False


@torch.inference_mode()
def _difference(loaded: LoadedModel, prompts: Sequence[Prompt]) -> str | None:
    """How continuous batching differs from a plain forward pass on the prompts; None where it doesn't."""
    watched, ids = _Watched(), {}
    with in_slots(loaded.base_model):
        session = Session(loaded, backbone(loaded), watched, _Endless(), prompts, len(prompts), seed=0)
        session.run(lambda number, new: ids.update({number: new}))
    for slot, prompt in enumerate(prompts):  # the longest takes the first slot
        found = torch.stack([logits[slot] for logits in watched.logits[: prompt.limit]])
        plain = _plain_logits(loaded, prompt.ids + ids[prompt.number][:-1], prompt.limit)
        seen, expected = (x.double().log_softmax(dim=-1).numpy() for x in (found, plain))
        if not agree(expected, seen, loaded.model.dtype):
            apart = float(np.abs(seen - expected).max())
            return f"its log-probabilities are up to {apart:.1e} from those of a plain forward pass"
    return None


def _plain_logits(loaded: LoadedModel, ids: Sequence[int], last: int) -> Tensor:
    """[last, V], at the last positions of one sequence."""
    model = loaded.base_model
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    output = model(
        input_ids=torch.tensor([list(ids)], device=loaded.device),
        use_cache=False,
        **({"logits_to_keep": last} if keeps else {}),
    )
    logits: Tensor = output.logits[0, -last:].float().cpu()
    return logits
