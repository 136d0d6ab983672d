"""Continuous batching: a row leaves the batch when it ends, and a waiting row takes its place.

Rows stand in slots of one static cache, each at its own positions, so no row waits for another and nothing is padded.
What all prompts begin with is read once. A prompt is read up to its last token, which is then the first that the row
reads in a step.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from typing import Any

import torch

from sft.inference.backbone import backbone
from sft.inference.batching import BatchSize
from sft.inference.generation.answer_text import AnswerText
from sft.inference.generation.decoders.base import DecoderOptions, Done, Prompt, decoder_registry
from sft.inference.generation.picking import Picker
from sft.inference.generation.session import Session
from sft.inference.generation.settings import Decoding
from sft.inference.generation.slot_attention import in_slots
from sft.inference.memory import activation_bytes_per_token, tokens_per_pass, usable_bytes
from sft.inference.unsupported import UnsupportedModelError, refuse_virtual_tokens
from sft.models.load import LoadedModel
from sft.progress import progress_bar

logger = logging.getLogger(__name__)

# More rows than this make a step no faster per row.
_MOST_ROWS = {"cuda": 512, "mps": 64, "cpu": 64}


@decoder_registry.register("continuous")
class ContinuousDecoder:
    """Greedy decoding and sampling, for models whose layers all attend through transformers' attention interface."""

    def __init__(self, loaded: LoadedModel, decoding: Decoding, options: DecoderOptions) -> None:
        if options.constraint is not None:
            raise UnsupportedModelError("texts are constrained, which is done in static batches")
        refuse_virtual_tokens(loaded)
        _refuse_several_devices(loaded)
        self._loaded, self._decoding = loaded, decoding
        self._backbone = backbone(loaded)
        self._picker = Picker(loaded, decoding)
        self._batch_size: BatchSize = options.batch_size

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Prompt], seed: int, done: Done) -> None:
        waiting = {prompt.number: prompt for prompt in prompts}
        most = _MOST_ROWS.get(self._loaded.device.type, 64) if self._batch_size == "auto" else self._batch_size
        text = AnswerText(self._loaded, self._decoding)
        with progress_bar(len(prompts), "generating answers") as bar, in_slots(self._loaded.base_model):

            def finished(number: int, ids: list[int]) -> None:
                del waiting[number]
                bar.update(1)
                done(number, ids)

            while waiting:
                rows = list(waiting.values())
                slots = min(most, len(rows), self._fitting(rows))
                try:
                    Session(self._loaded, self._backbone, self._picker, text, rows, slots, seed).run(finished)
                except torch.cuda.OutOfMemoryError:
                    if slots == 1:
                        raise
                    most = slots // 2
                    logger.warning("out of memory with %d rows at a time; going on with %d", slots, most)
                if waiting:
                    gc.collect()
                    torch.cuda.empty_cache()

    def _fitting(self, rows: Sequence[Prompt]) -> int:
        """How many rows' keys and values fit into half of what is free, beside the activations of a pass."""
        free = usable_bytes(self._loaded)
        free -= min(free // 2, tokens_per_pass(self._loaded) * activation_bytes_per_token(self._loaded))
        longest = max(len(row.ids) + row.limit for row in rows)
        return max(1, free // (longest * _cache_bytes_per_token(self._loaded)))


def _cache_bytes_per_token(loaded: LoadedModel) -> int:
    config: Any = loaded.base_model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * loaded.model.dtype.itemsize)


def _refuse_several_devices(loaded: LoadedModel) -> None:
    devices = {parameter.device for parameter in loaded.base_model.parameters()}
    if len(devices) > 1:
        raise UnsupportedModelError("its weights are on several devices")
