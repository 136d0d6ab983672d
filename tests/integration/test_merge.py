"""`merge_model`: a plain Hugging Face folder that gives the outputs of base and adapter, or an error and nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft.cli.model import model_merge
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.pipeline import merge
from sft.pipeline.endpoints import evaluate, run_experiment, train
from sft.pipeline.merge import merge_model
from sft.records import read_items
from tests.fakes import CHATML
from tests.tiny_models import save_tiny_model
from tests.tiny_runs import tiny_run
from tests.unit.adapters.adapter_arguments import SMALL

MERGED: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "lora", {"r": 4, "use_dora": True}),
    ("llama", "lora", {"r": 4, "init_lora_weights": "pissa"}),
    ("gpt2", "lora", {"r": 4, "use_rslora": True}),
    ("gpt2", "adalora", {}),
    *(
        ("llama", name, SMALL.get(name, {}))
        for name in ("adalora", "ia3", "vera", "loha", "lokr", "oft", "miss", "hira")
    ),
]


def trained(folder: Path, method: str, args: dict[str, Any], **more: Any) -> ExperimentConfig:
    """A run that leaves its adapter in `<folder>/adapter`."""
    trainer_args = {"output_dir": str(folder / "adapter"), "max_steps": 8}
    config = tiny_run(folder, trainer_args=trainer_args, lora=None, adapter={"method": method, "args": args}, **more)
    train(config)
    return config


@pytest.mark.parametrize(("architecture", "method", "args"), MERGED)
def test_the_merged_model_scores_as_base_and_adapter(
    architecture: str, method: str, args: dict[str, Any], tmp_path: Path
) -> None:
    config = trained(tmp_path, method, args, architecture=architecture)
    done = merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert done.difference < 1e-4
    assert done.dtype == "float32"
    by_adapter = evaluate(config, tmp_path / "a", checkpoint=str(tmp_path / "adapter"))
    by_name = config.model_copy(update={"model": config.model.model_copy(update={"name": str(tmp_path / "merged")})})
    by_merged = evaluate(by_name, tmp_path / "b")
    bare = evaluate(config, tmp_path / "c")
    pairs = zip(*(read_items(run.folder) for run in (by_adapter, by_merged, bare)), strict=True)
    for one, other, base in pairs:
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-3)
        assert one["scores"] != pytest.approx(base["scores"], abs=1e-3)


def test_it_is_a_plain_folder_in_the_dtype_of_the_base_with_template_config_and_metrics(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base", chat=True)
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    trainer_args = {"output_dir": str(tmp_path / "adapter")}
    model = {"name": str(base), "model_args": {"token": "very-secret"}}
    run = run_experiment(tiny_run(tmp_path, trainer_args=trainer_args, model=model), tmp_path / "results")
    done = merge_model(tmp_path / "adapter", tmp_path / "new" / "merged", results_path=tmp_path / "results")
    assert (done.dtype, done.metrics_of) == ("bfloat16", [run.record.run_id])
    assert done.difference < done.rounded
    merged = AutoModelForCausalLM.from_pretrained(done.folder)
    assert merged.dtype == torch.bfloat16
    assert not [name for name in merged.state_dict() if "lora" in name or "base_layer" in name]
    tokenizer = AutoTokenizer.from_pretrained(done.folder)
    assert (tokenizer.chat_template, tokenizer.eos_token) == (CHATML, "<|im_end|>")
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"| accuracy | {run.record.results['accuracy']:.4f} |" in card
    assert '"output_column": "label"' in card
    texts = [path for path in done.folder.iterdir() if path.suffix in (".md", ".json")]
    assert len(texts) > 3
    assert not [path.name for path in texts if "very-secret" in path.read_text(encoding="utf-8")]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["merged"]


def test_metrics_of_an_evaluation_of_the_adapter_are_found_and_those_of_others_are_not(tmp_path: Path) -> None:
    config = trained(tmp_path, "lora", {"r": 4})
    evaluate(config, tmp_path / "results")
    own = evaluate(config, tmp_path / "results", checkpoint=str(tmp_path / "adapter"))
    done = merge_model(tmp_path / "adapter", tmp_path / "merged", results_path=tmp_path / "results")
    assert done.metrics_of == [own.record.run_id]


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning", "lily", "shadow"])
def test_methods_that_cannot_be_merged_are_an_error_and_nothing_is_written(method: str, tmp_path: Path) -> None:
    trained(tmp_path, method, SMALL.get(method, {}))
    with pytest.raises(SftError, match=f"the method '{method}' can't be merged"):
        merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_other_logits_than_unmerged_are_an_error_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, "lora", {"r": 4})
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(merge, "_merge", lambda model, checkpoint: model.unload())
    with pytest.raises(SftError, match="doesn't give the logits of base and adapter"):
        merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_folder_that_is_written_wrongly_is_an_error_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, "lora", {"r": 4})
    before = sorted(path.name for path in tmp_path.iterdir())
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "llama")
    monkeypatch.setattr(merge, "_reloaded", lambda folder: base)
    with pytest.raises(SftError, match="doesn't give the logits of base and adapter"):
        merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_command_says_how_near_it_is_and_whose_metrics_are_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = trained(tmp_path, "lora", {"r": 4})
    run = evaluate(config, tmp_path / "results", checkpoint=str(tmp_path / "adapter"))
    model_merge(tmp_path / "adapter", tmp_path / "merged", tmp_path / "results", overwrite=False, quiet=True)
    out = capsys.readouterr().out
    assert "merged in float32 (difference " in out
    assert f"metrics of: {run.record.run_id}\n{tmp_path / 'merged'}\n" in out


def test_a_folder_with_something_in_it_is_refused_unless_overwritten(tmp_path: Path) -> None:
    trained(tmp_path, "lora", {"r": 4})
    out = tmp_path / "merged"
    out.mkdir()
    (out / "thesis.docx").write_text("precious", encoding="utf-8")
    (out / "model-00001-of-00002.safetensors").touch()
    with pytest.raises(SftError, match="is not empty"):
        merge_model(tmp_path / "adapter", out)
    merge_model(tmp_path / "adapter", out, overwrite=True)
    assert (out / "thesis.docx").read_text(encoding="utf-8") == "precious"
    assert not (out / "model-00001-of-00002.safetensors").exists()
    assert AutoModelForCausalLM.from_pretrained(out)


def test_an_adapter_of_a_quantised_base_is_merged_into_the_unquantised_one_and_the_card_says_so(
    tmp_path: Path,
) -> None:
    pytest.importorskip("bitsandbytes")
    quantization = {"config_class": "BitsAndBytesConfig", "args": {"load_in_8bit": True}}
    trained(tmp_path, "lora", {"r": 4}, model={"quantization": quantization})
    merge_model(tmp_path / "adapter", tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in config
    assert "quantised base (BitsAndBytesConfig)" in (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")


def test_the_adapters_of_others_can_be_merged_too(tmp_path: Path) -> None:
    trained(tmp_path, "lora", {"r": 4})
    (tmp_path / "adapter" / "sft_config.json").unlink()
    done = merge_model(tmp_path / "adapter", tmp_path / "merged")
    assert "## Configuration" not in (done.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("content", "message"), [("config.json", "complete weights"), ("novel.txt", "no adapter")])
def test_a_folder_without_adapter_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / content).touch()
    with pytest.raises(SftError, match=message):
        merge_model(tmp_path, tmp_path / "merged")
