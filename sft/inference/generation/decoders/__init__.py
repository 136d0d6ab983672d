"""Ways to let a model continue prompts: one registry, one file per decoder."""

from sft.inference.generation.decoders.base import Decoder, DecoderOptions, Prompt, decoder_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Decoder", "DecoderOptions", "Prompt", "decoder_registry"]
