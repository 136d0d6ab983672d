"""How much a forward pass may read at once on the machine at hand."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from sft.distributed import processes_here
from sft.models.load import LoadedModel

# More tokens than this make a pass no faster per token.
_MOST_TOKENS = {"cuda": 32_768, "mps": 8_192, "cpu": 1_024}
_FEWEST_TOKENS = 256
_USABLE = 0.5


def tokens_per_pass(loaded: LoadedModel) -> int:
    """Tokens whose activations fit into the usable memory, and no more than make a pass faster per token."""
    fitting = usable_bytes(loaded) // activation_bytes_per_token(loaded)
    return max(_FEWEST_TOKENS, min(fitting, _MOST_TOKENS.get(loaded.device.type, 1_024)))


def usable_bytes(loaded: LoadedModel) -> int:
    """Half of what is free now, on the fullest device of the model."""
    devices = {parameter.device for parameter in loaded.model.parameters() if not parameter.is_meta}
    return int(_USABLE * min(free_bytes(device) for device in devices | {loaded.device}))


def activation_bytes_per_token(loaded: LoadedModel) -> int:
    """What a layer keeps of one token at its peak: some copies of the hidden state, and of the feed-forward block's."""
    config: Any = loaded.base_model.config.get_text_config()
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    size = int(loaded.model.dtype.itemsize)
    return size * (16 * hidden + 4 * inner)


def free_bytes(device: torch.device) -> int:
    """Memory that a new tensor can take without anything else being freed."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    return int(psutil.virtual_memory().available) // processes_here()
