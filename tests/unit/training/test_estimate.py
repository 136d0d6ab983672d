"""Memory and time told before weights are loaded: against what a GPU needed, and for what isn't estimated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from sft.errors import ModelError, TrainingError
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.estimate import estimate_training
from sft.training.fast.duration import COMPILING, STEP
from sft.training.fast.gpus import gpu_registry
from tests.fakes import make_config

GIB = 2**30
# Of Qwen2.5; weights of a benchmark's models were random.
SHAPES = {
    "0.5b": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
             "num_key_value_heads": 2, "tie_word_embeddings": True},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "tie_word_embeddings": False},
}  # fmt: skip


def written(shape: str, folder: Path) -> str:
    """A model's config alone; there are no weights."""
    config = transformers.Qwen2Config(vocab_size=152_064, max_position_embeddings=32_768, **SHAPES[shape])
    config.architectures, config.dtype = ["Qwen2ForCausalLM"], "bfloat16"
    config.save_pretrained(folder)
    return str(folder)


def config_of(model: str, batch: int, *, compile: bool = False, **more: Any) -> Any:
    training = {"trainer_args": {"per_device_train_batch_size": batch}, "compile": compile}
    lora = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
    return make_config(**{"model": {"name": model}, "lora": lora, "training": training, **more})


def rows(tokens: int, batch: int) -> list[LabelledIds]:
    n = tokens // batch
    return [LabelledIds([5] * n, [IGNORED] * (n - 3) + [5] * 3)] * batch


@pytest.mark.parametrize(
    ("shape", "batch", "tokens", "compiled", "measured"),
    [
        # Peaks of one H100 (docs/decisions/0018-training.md), and the tokens of the longest batch there.
        ("0.5b", 32, 18_708, False, 25.35),
        ("0.5b", 32, 18_708, True, 19.93),
        ("7b", 16, 9_835, False, 72.96),
        ("7b", 16, 9_835, True, 59.59),
    ],
)
def test_estimates_are_close_to_measured_peaks(
    shape: str, batch: int, tokens: int, compiled: bool, measured: float, tmp_path: Path
) -> None:
    config = config_of(written(shape, tmp_path), batch, compile=compiled)
    found = estimate_training(config, rows(tokens, batch), steps=1, gpu_bytes=200 * GIB)
    assert (found.fit.parts, found.fit.checkpointing, found.fits) == (1, False, True)
    assert found.fit.memory.total / GIB == pytest.approx(measured, rel=0.15)


def test_what_does_not_fit_is_divided_or_said(tmp_path: Path) -> None:
    config = config_of(written("7b", tmp_path), 16)
    small = estimate_training(config, rows(9_835, 16), steps=1, gpu_bytes=60 * GIB)
    assert small.fits
    assert small.fit.parts > 1
    tiny = estimate_training(config, rows(9_835, 16), steps=1, gpu_bytes=12 * GIB)
    assert not tiny.fits
    assert tiny.fit.checkpointing


def test_what_is_not_estimated_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelError, match="holds neither"):
        estimate_training(config_of(str(folder), 1), rows(100, 1), steps=1, gpu_bytes=GIB)
    name = written("0.5b", folder)
    quantised = config_of(name, 1)
    quantised = quantised.model_copy(
        update={"model": quantised.model.model_copy(update={"quantization": {"load_in_4bit": True}})}
    )
    with pytest.raises(TrainingError, match="quantised models isn't estimated"):
        estimate_training(quantised, rows(100, 1), steps=1, gpu_bytes=GIB)
    saved = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**saved, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(TrainingError, match="is one"):
        estimate_training(config_of(name, 1), rows(100, 1), steps=1, gpu_bytes=GIB)


@pytest.mark.parametrize(
    ("shape", "batch", "checkpointing", "compiled", "measured"),
    [
        # Seconds per step of an H100 (benchmarks/results/training_gpu.json), with prompts of 549 tokens in the mean.
        ("0.5b", 8, False, True, 0.157),  # bound by the host
        ("0.5b", 32, False, False, 0.204),
        ("7b", 8, False, False, 0.360),
        ("7b", 16, False, True, 0.529),
        ("7b", 16, True, True, 0.764),
    ],
)
def test_estimated_times_are_close_to_measured_ones(
    shape: str, batch: int, checkpointing: bool, compiled: bool, measured: float, tmp_path: Path
) -> None:
    model, steps = written(shape, tmp_path), 100
    given = {"per_device_train_batch_size": batch, "gradient_checkpointing": checkpointing}
    config = config_of(model, batch, training={"trainer_args": given, "compile": compiled})
    lengths = [302 + 494 * i // 63 for i in range(64)]
    some = [LabelledIds([5] * n, [IGNORED] * (n - 3) + [5] * 3) for n in lengths]
    gpu = gpu_registry["h100"]
    found = estimate_training(config, some, steps=steps, gpu_bytes=200 * GIB, speed=gpu)
    assert found.fit.parts == 1
    assert found.compiled == compiled
    assert found.seconds is not None
    assert (found.seconds - compiled * COMPILING) / steps == pytest.approx(measured, rel=0.15)


def test_a_step_in_parts_takes_the_time_of_its_parts(tmp_path: Path) -> None:
    model, some = written("7b", tmp_path), rows(9_835, 16)

    def seconds(batch: int, accumulated: int) -> float:
        given = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated}
        config = config_of(model, batch, training={"trainer_args": given, "compile": False})
        found = estimate_training(config, some, steps=1, gpu_bytes=200 * GIB, speed=gpu_registry["h100"]).seconds
        assert found is not None
        return found

    assert seconds(8, 2) == pytest.approx(2 * seconds(8, 1) - STEP)
