"""Arguments with which every adapter method fits tiny models, whose layers are narrower than any real one's."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "boft": {"boft_block_size": 4},
    "c3a": {"block_size": 16},
    "cartridge": {"num_virtual_tokens": 4},
    "fourierft": {"n_frequency": 20},
    "gralora": {"r": 4, "gralora_k": 2},
    "miss": {"r": 4},
    "oft": {"oft_block_size": 8},
    "p_tuning": {"num_virtual_tokens": 4},
    "prefix_tuning": {"num_virtual_tokens": 4},
    "prompt_tuning": {"num_virtual_tokens": 4},
    "psoft": {"r": 4},
    "road": {"group_size": 16},
    "shira": {"r": 2},
    "trainable_tokens": {"token_indices": list(range(256))},
    "vblora": {"vector_length": 16, "num_vectors": 8},
    "waveft": {"n_frequency": 20},
}
