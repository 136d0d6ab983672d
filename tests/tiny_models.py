"""Random causal language models of a few thousand weights, one per kind of architecture, for the byte tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from sft.models.load import LoadedModel, keep_soft_capping
from sft.models.source import ModelSource
from tests.fakes import byte_tokenizer

_HIDDEN, _LAYERS, _HEADS, _POSITIONS = 32, 2, 4, 512
# Smaller than the prompts of most tests, so that windows are really crossed.
SLIDING_WINDOW = 8


def _std(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": _POSITIONS,
        **more,
    }


_CONFIGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "llama": lambda ids: transformers.LlamaConfig(**ids, **_std()),
    "qwen2": lambda ids: transformers.Qwen2Config(**ids, **_std()),
    "mistral": lambda ids: transformers.MistralConfig(**ids, **_std(sliding_window=SLIDING_WINDOW)),
    "gemma2": lambda ids: transformers.Gemma2Config(
        **ids, **_std(sliding_window=SLIDING_WINDOW, head_dim=8, query_pre_attn_scalar=8)
    ),
    "gpt2": lambda ids: transformers.GPT2Config(
        **ids,
        n_embd=_HIDDEN,
        n_layer=_LAYERS,
        n_head=_HEADS,
        n_positions=_POSITIONS,
        resid_pdrop=0.0,  # a training loss with dropout can't be computed by hand
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    ),
    "opt": lambda ids: transformers.OPTConfig(
        **ids,
        hidden_size=_HIDDEN,
        ffn_dim=2 * _HIDDEN,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        word_embed_proj_dim=_HIDDEN,
        max_position_embeddings=_POSITIONS,
        dropout=0.0,
    ),
    "gpt_neox": lambda ids: transformers.GPTNeoXConfig(
        **ids,
        hidden_size=_HIDDEN,
        intermediate_size=2 * _HIDDEN,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        max_position_embeddings=_POSITIONS,
    ),
    "bloom": lambda ids: transformers.BloomConfig(**ids, hidden_size=_HIDDEN, n_layer=_LAYERS, n_head=_HEADS),
    "mamba": lambda ids: transformers.MambaConfig(**ids, hidden_size=_HIDDEN, num_hidden_layers=_LAYERS, state_size=8),
}
ARCHITECTURES = tuple(_CONFIGS)
_FALCON = {"hidden_size": _HIDDEN, "num_hidden_layers": _LAYERS, "num_attention_heads": _HEADS}
_MIXED_LAYERS = {"layer_types": ["sliding_attention", "full_attention"]}
# Further ones that only scoring is tried on: it has a way of its own for each kind of attention, position and state.
_CONFIGS |= {
    "qwen3": lambda ids: transformers.Qwen3Config(**ids, **_std(head_dim=8)),
    "gemma3": lambda ids: transformers.Gemma3TextConfig(
        **ids, **_std(sliding_window=SLIDING_WINDOW, head_dim=8, query_pre_attn_scalar=8), **_MIXED_LAYERS
    ),
    "phi3": lambda ids: transformers.Phi3Config(**ids, **_std()),
    "gpt_oss": lambda ids: transformers.GptOssConfig(
        **ids,
        **_std(sliding_window=SLIDING_WINDOW, head_dim=8, num_local_experts=4, num_experts_per_tok=2),
        **_MIXED_LAYERS,
    ),
    "cohere": lambda ids: transformers.CohereConfig(**ids, **_std(logit_scale=0.5)),
    "granite": lambda ids: transformers.GraniteConfig(**ids, **_std(logits_scaling=3.0)),
    "mixtral": lambda ids: transformers.MixtralConfig(**ids, **_std(num_local_experts=4)),
    "falcon_alibi": lambda ids: transformers.FalconConfig(
        **ids, **_FALCON, alibi=True, new_decoder_architecture=False, multi_query=False, parallel_attn=False, bias=True
    ),
    "mpt": lambda ids: transformers.MptConfig(
        **ids, d_model=_HIDDEN, n_layers=_LAYERS, n_heads=_HEADS, max_seq_len=_POSITIONS
    ),
    "bamba": lambda ids: transformers.BambaConfig(
        **ids,
        **_std(attn_layer_indices=[1], mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1),
        mamba_chunk_size=16,
    ),
    "jamba": lambda ids: transformers.JambaConfig(
        **ids,
        **_std(attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, num_experts=2, mamba_d_state=8),
        use_mamba_kernels=False,
    ),
}
SCORED_ARCHITECTURES = tuple(_CONFIGS)


def tiny_model(architecture: str, tokenizer: Any, *, seed: int = 0, spread: float = 0.3) -> Any:
    """A float32 model in evaluation mode. spread: standard deviation of matrices, wide enough that labels differ."""
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = _CONFIGS[architecture](ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, spread)
    keep_soft_capping(model)
    return model.eval()


def chain_model(tokenizer: Any, text: str) -> Any:
    """A Llama that says the next character of `text` after each, and EOS after the last.

    Its layers add nothing, its embeddings are unit vectors, its head holds the successor of each token. The characters
    are ASCII and all different. After a token outside the text it says EOS.
    """
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text) == len(set(ids))
    size = len(tokenizer) + len(tokenizer) % 2
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **{**_std(), "hidden_size": size, "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1},
    )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(len(tokenizer), size))
        model.lm_head.weight.zero_()
        successors = dict(zip(ids, [*ids[1:], tokenizer.eos_token_id], strict=True))
        for token in range(len(tokenizer)):
            model.lm_head.weight[successors.get(token, tokenizer.eos_token_id), token] = 1.0
    return model.eval()


def tiny_loaded(architecture: str = "llama", *, chat: bool = False, seed: int = 0, model: Any = None) -> LoadedModel:
    """A tiny model with the byte tokenizer, as `load_model` would return it. model: use this one instead."""
    tokenizer = byte_tokenizer(chat=chat)
    model = tiny_model(architecture, tokenizer, seed=seed) if model is None else model
    return LoadedModel(model, tokenizer, ModelSource(f"tiny-{architecture}", None), _POSITIONS)


def save_tiny_model(folder: Path, architecture: str = "llama", *, chat: bool = False, seed: int = 0) -> Path:
    """Write a tiny model and its tokenizer as a folder that `from_pretrained` reads."""
    loaded = tiny_loaded(architecture, chat=chat, seed=seed)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def random_ids(lengths: Sequence[int], seed: int = 0, vocabulary: int = 256) -> list[list[int]]:
    """Token ids of ordinary bytes, one list per length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, vocabulary, (length,), generator=generator).tolist() for length in lengths]
