"""Llama checkpoints of random weights, written in bitsandbytes' nf4 without ever being anything larger."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.functional import QuantState, create_dynamic_map, get_4bit_type
from safetensors.torch import save_file
from transformers import AutoTokenizer, BitsAndBytesConfig, LlamaConfig

BLOCK, OUTER_BLOCK = 64, 256
QUANTIZATION = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": "bfloat16",
}


def write_checkpoint(folder: Path, config: LlamaConfig, tokenizer: Path) -> int:
    """Write config, tokenizer and one file per layer; returns the bytes written.

    Every layer has the same weights: making them is then nothing beside writing them. Double quantisation, so 0.516
    bytes a weight.
    """
    folder.mkdir(parents=True, exist_ok=True)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    files = {"embeddings": _embeddings(config)}
    layer = _layer(config)
    index: dict[str, str] = {}
    size = 0
    for name in ["embeddings", *range(config.num_hidden_layers)]:
        tensors = files.get(name) or {f"model.layers.{name}.{key}": value for key, value in layer.items()}
        file = f"model-{name}.safetensors"
        save_file(tensors, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, file)
        size += (folder / file).stat().st_size
    _write(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": index})
    values = config.to_dict() | {
        "architectures": ["LlamaForCausalLM"],
        "dtype": "bfloat16",
        "quantization_config": BitsAndBytesConfig(**QUANTIZATION).to_dict(),
    }
    _write(folder / "config.json", values)
    return size


def _embeddings(config: LlamaConfig) -> dict[str, torch.Tensor]:
    """Embeddings, head and the last norm, in 16 bits. A block of rows is repeated with signs of its own per copy."""
    rows, width = config.vocab_size, config.hidden_size
    block = torch.randn(min(rows, 1024), width) / math.sqrt(width)
    tensors = {}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        matrix = torch.empty(rows, width, dtype=torch.bfloat16)
        for start in range(0, rows, len(block)):
            part = matrix[start : start + len(block)]
            part.copy_(block[: len(part)] * torch.randint(0, 2, (width,)).mul(2).sub(1))
        tensors[name] = matrix
    return {**tensors, "model.norm.weight": torch.ones(width, dtype=torch.bfloat16)}


def _layer(config: LlamaConfig) -> dict[str, torch.Tensor]:
    hidden, inner = config.hidden_size, config.intermediate_size
    head = hidden // config.num_attention_heads
    keys = head * config.num_key_value_heads
    shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    tensors = {f"{name}.{part}": t for name, shape in shapes.items() for part, t in _nf4(shape).items()}
    norms = ("input_layernorm", "post_attention_layernorm")
    return tensors | {f"{name}.weight": torch.ones(hidden, dtype=torch.bfloat16) for name in norms}


def _nf4(shape: tuple[int, int]) -> dict[str, torch.Tensor]:
    """A random weight `[out, in]` of standard deviation 1 / sqrt(in), as bitsandbytes serialises it."""
    n_out, n_in = shape
    code = get_4bit_type("nf4", device="cpu")
    blocks = n_out * n_in // BLOCK
    scale = 1 / math.sqrt(n_in) / code.square().mean().sqrt()
    outer = QuantState(
        absmax=torch.full((math.ceil(blocks / OUTER_BLOCK),), 0.2 * scale.item()),
        blocksize=OUTER_BLOCK,
        code=create_dynamic_map(),
        dtype=torch.float32,
    )
    state = QuantState(
        absmax=torch.randint(0, 256, (blocks,), dtype=torch.uint8),
        shape=torch.Size(shape),
        code=code,
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=torch.bfloat16,
        offset=scale,
        state2=outer,
    )
    weight = torch.randint(0, 256, (n_out * n_in // 2, 1), dtype=torch.uint8)
    return {"weight": weight} | {f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
