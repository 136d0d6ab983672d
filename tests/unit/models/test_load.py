"""Loading weights: types, adapters, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sft.config.schema import ModelConfig
from sft.errors import ModelError
from sft.models.load import LoadedModel, keep_soft_capping, load_model, main_device
from sft.models.source import find_model
from sft.models.tokenizer import load_tokenizer
from sft.training.output import save_trained
from tests.adapters import with_lora
from tests.fakes import byte_tokenizer
from tests.tiny_models import random_ids, save_tiny_model, tiny_loaded, tiny_model

on_cpu = pytest.mark.skipif(main_device().type != "cpu", reason="an accelerator takes the checkpoint's own type")


def load(name: Path | str, checkpoint: Path | None = None, **config: Any) -> LoadedModel:
    model = ModelConfig(name=str(name), **config)
    source = find_model(model, None if checkpoint is None else str(checkpoint))
    return load_model(model, source, load_tokenizer(model, source))


@torch.no_grad()
def logits(loaded: LoadedModel) -> torch.Tensor:
    result: torch.Tensor = loaded.model(input_ids=torch.tensor(random_ids([8])).to(loaded.device)).logits
    return result.cpu()


def write_adapter(folder: Path, base: Path, architecture: str = "llama") -> LoadedModel:
    """An adapter that changes the model, and the model with it."""
    loaded = load(base)
    torch.manual_seed(0)
    loaded.model = with_lora(loaded.model, {"r": 2, "target_modules": "all-linear"})
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5)
    save_trained(loaded, folder)
    loaded.model.eval()
    return loaded


@on_cpu
def test_weights_are_float32_on_a_cpu_whatever_the_checkpoint_holds(tmp_path: Path) -> None:
    half = tiny_loaded()
    half.model.to(torch.bfloat16).save_pretrained(tmp_path)
    half.tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"
    loaded = load(tmp_path)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert loaded.describe()["dtype"] == "float32"


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_the_config_chooses_another_type(key: str, tmp_path: Path) -> None:
    loaded = load(save_tiny_model(tmp_path), model_args={key: "bfloat16"})
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.describe()["dtype"] == "bfloat16"


def test_a_loaded_model_computes_what_the_saved_one_did_and_is_in_evaluation_mode(tmp_path: Path) -> None:
    loaded = load(save_tiny_model(tmp_path))
    torch.testing.assert_close(logits(loaded), logits(tiny_loaded()))
    assert not loaded.model.training
    assert loaded.max_positions == 512


@pytest.mark.parametrize(("architecture", "positions"), [("gpt2", 512), ("opt", 512), ("bloom", None), ("mamba", None)])
def test_the_longest_sequence_is_what_the_architecture_can_place(
    architecture: str, positions: int | None, tmp_path: Path
) -> None:
    assert load(save_tiny_model(tmp_path, architecture)).max_positions == positions


def test_an_adapter_folder_is_loaded_with_its_base(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    trained = write_adapter(tmp_path / "adapter", base)
    expected = logits(trained)
    assert (expected - logits(load(base))).abs().max() > 0.1
    for loaded in (load(tmp_path / "adapter"), load(base, tmp_path / "adapter")):
        torch.testing.assert_close(logits(loaded), expected)
        assert not loaded.model.training
        assert loaded.describe()["base"] == str(base)
        assert loaded.describe()["adapter"] == str(tmp_path / "adapter")
        assert loaded.describe()["architecture"] == "LlamaForCausalLM"


def test_an_adapter_of_another_architecture_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", save_tiny_model(tmp_path / "llama"))
    with pytest.raises(ModelError, match="can't put the adapter"):
        load(save_tiny_model(tmp_path / "gpt2", "gpt2"), tmp_path / "adapter")


def test_an_adapter_of_another_size_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", save_tiny_model(tmp_path / "small"))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    config["r"] = 5
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="can't put the adapter"):
        load(tmp_path / "adapter")


def test_an_adapter_with_weights_for_some_layers_only_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", save_tiny_model(tmp_path / "base"))
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if "layers.0" in name}
    assert kept
    save_file(kept, weights)
    with pytest.raises(ModelError, match=r"missing adapter keys(.|\n)*layers\.1"):
        load(tmp_path / "adapter")


def write_custom_code(folder: Path) -> Path:
    """A checkpoint whose config asks for its own Python file, which leaves a trace when it is run."""
    save_tiny_model(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["model_type"] = "my_model"
    config["auto_map"] = {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    trace = f"from pathlib import Path\nPath({str(folder / 'trace')!r}).touch()\n"
    (folder / "mine.py").write_text(trace, encoding="utf-8")
    return folder


def test_code_in_a_checkpoint_is_not_run_unless_the_config_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)  # no question to a terminal
    folder = write_custom_code(tmp_path / "custom")
    with pytest.raises(ModelError, match="trust_remote_code"):
        load(folder)
    assert not (folder / "trace").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [("model.safetensors", b"broken"), ("config.json", b'{"model_type": "no_such_type"}'), ("config.json", b"{")],
)
def test_a_broken_checkpoint_is_an_error_that_names_it(file: str, content: bytes, tmp_path: Path) -> None:
    save_tiny_model(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match=str(tmp_path)):
        load(tmp_path)


def test_arguments_that_from_pretrained_does_not_know_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no_such_argument"):
        load(save_tiny_model(tmp_path), model_args={"no_such_argument": 1})


def test_a_hub_model_that_cannot_be_reached_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelError, match="nobody/no-such-model"):
        load("nobody/no-such-model")


def test_a_model_with_soft_capped_attention_is_never_run_by_sdpa_which_would_leave_the_capping_out() -> None:
    model = tiny_model("gemma2", byte_tokenizer())
    ids = torch.tensor(random_ids([20]))
    capped = model(input_ids=ids).logits
    model.config._attn_implementation_internal = "sdpa"  # what transformers before 5.23 chooses by itself
    keep_soft_capping(model)
    torch.testing.assert_close(model(input_ids=ids).logits, capped)
    uncapped = tiny_model("llama", byte_tokenizer())
    keep_soft_capping(uncapped)
    assert uncapped.config._attn_implementation == "sdpa"
