"""Models of layers wide enough for blocks and groups, to be quantised; whole checkpoints packed on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from tests.fakes import byte_tokenizer
from tests.packing import Packed, pack_awq, pack_gptq

HIDDEN, INTERMEDIATE, LAYERS, GROUP = 128, 256, 2, 32
LINEAR_LAYERS = 7 * LAYERS  # of the Llama


def wide_model(architecture: str = "llama") -> Any:
    """A float32 model in evaluation mode, the same at each call."""
    tokenizer = byte_tokenizer()
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if architecture == "gpt2":
        config: Any = transformers.GPT2Config(
            **ids, n_embd=HIDDEN, n_layer=LAYERS, n_head=4, n_positions=512, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0,
        )  # fmt: skip
    else:
        config = transformers.LlamaConfig(
            **ids, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=LAYERS, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512,
        )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.1)
    return model.eval()


def save_wide_model(folder: Path, architecture: str = "llama", dtype: torch.dtype = torch.float32) -> Path:
    """Write the model and its tokenizer as a folder that `from_pretrained` reads."""
    wide_model(architecture).to(dtype).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def save_awq_model(folder: Path) -> Any:
    """Write the Llama in AWQ's packing; returns the float32 model of the same function."""
    quantization = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"}
    return _save_packed(folder, lambda weight: pack_awq(weight, GROUP), quantization)


def save_gptq_model(folder: Path, bits: int = 4, checkpoint_format: str = "gptq") -> Any:
    """Write the Llama in GPTQ's packing; returns the float32 model of the same function."""
    less_one = checkpoint_format == "gptq"  # version 1 of the format; version 2 is called gptq_v2
    quantization = {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": GROUP,
        "desc_act": True,
        "sym": False,
        "checkpoint_format": checkpoint_format,
    }
    return _save_packed(folder, lambda weight: pack_gptq(weight, GROUP, bits, less_one=less_one), quantization)


def _save_packed(folder: Path, pack: Any, quantization: dict[str, Any]) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    model = wide_model()
    tensors = {}
    for name, value in model.state_dict().items():
        if not name.endswith("_proj.weight"):
            tensors[name] = value.half()
            continue
        packed: Packed = pack(value)
        value.copy_(packed.weight)
        tensors |= {f"{name.removesuffix('.weight')}.{buffer}": data for buffer, data in packed.buffers.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict() | {
        "architectures": ["LlamaForCausalLM"],
        "dtype": "float16",
        "quantization_config": quantization,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    byte_tokenizer().save_pretrained(folder)
    return model
