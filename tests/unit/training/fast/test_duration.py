"""The operations that an estimate of time counts are those of the formulae; GPUs are known by the names CUDA gives."""

from __future__ import annotations

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

from sft.training.fast.duration import micro_batch_time
from sft.training.fast.gpus import GpuSpeed, gpu_registry, speed_of

LAYERS, HIDDEN, INNER, HEADS, VOCABULARY, RANK = 2, 256, 512, 4, 1000, 8
LENGTHS, ANSWERS = (70, 130), 6


def model() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        base = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=RANK, target_modules="all-linear"))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_matrix_products_and_attention_are_counted(checkpointing: bool) -> None:
    """With endless bandwidth and slow arithmetic, the time is that of the operations."""
    tokens = sum(LENGTHS)
    weights = LAYERS * (4 * HIDDEN**2 + 3 * HIDDEN * INNER)
    factors = LAYERS * RANK * (8 * HIDDEN + 3 * (HIDDEN + INNER))
    attention = LAYERS * 4 * HIDDEN * sum(n * n for n in LENGTHS) / 2 / 0.4
    head = 2 * HIDDEN * VOCABULARY * ANSWERS
    forward = 2 * (weights + factors) * tokens + attention + head
    # Gradients of all activations but the embeddings', which queries, keys and values of the first layer read.
    unneeded = 2 * (3 * HIDDEN**2 + 3 * RANK * HIDDEN) * tokens
    backward = (2 * weights + 4 * factors) * tokens - unneeded + 2.5 * attention + head
    slow = GpuSpeed(operations=1e3, bandwidth=1e30, memory=0, called=())
    found = micro_batch_time(
        model(), LENGTHS, answers=ANSWERS, checkpointing=checkpointing, compiled=False, gpu=slow
    ).device
    assert found == pytest.approx((forward + backward + (forward if checkpointing else 0)) / 1e3, rel=1e-6)


def test_gpus_are_known_by_the_name_that_cuda_gives() -> None:
    assert speed_of("NVIDIA H100 80GB HBM3") == gpu_registry["h100"]
    assert speed_of("NVIDIA A100-SXM4-40GB") == gpu_registry["a100-40gb"]
    assert speed_of("NVIDIA A100-SXM4-80GB") == gpu_registry["a100-80gb"]
    assert speed_of("NVIDIA H200") == gpu_registry["h200"]
    assert speed_of("Some other card") is None
