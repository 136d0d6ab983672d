"""The folder that `train` writes: whose it is, what it holds, and who can load it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sft.errors import SftError
from sft.models.load import LoadedModel
from sft.training.output import MARKER, claim_output_dir, last_checkpoint, save_trained
from tests.adapters import with_lora
from tests.fakes import CHATML
from tests.tiny_models import random_ids, save_tiny_model
from tests.unit.models.test_load import load


def claim(folder: Path, run_id: str = "mine", *, overwrite: bool = False) -> None:
    claim_output_dir(folder, run_id, {"seed": 1}, overwrite=overwrite)


def test_a_new_folder_is_made_and_marked_with_the_config(tmp_path: Path) -> None:
    claim(tmp_path / "a" / "b")
    marker = json.loads((tmp_path / "a" / "b" / MARKER).read_text(encoding="utf-8"))
    assert marker == {"run_id": "mine", "config": {"seed": 1}}


def test_an_empty_folder_and_ones_own_may_be_taken(tmp_path: Path) -> None:
    claim(tmp_path)
    (tmp_path / "adapter_config.json").touch()
    claim(tmp_path)


@pytest.mark.parametrize("content", ["thesis.docx", ".hidden"])
def test_a_folder_with_anything_else_in_it_is_refused_untouched(content: str, tmp_path: Path) -> None:
    (tmp_path / content).write_text("precious", encoding="utf-8")
    with pytest.raises(SftError, match=r"is not empty and was filled by something else(.|\n)*--overwrite"):
        claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [content]


@pytest.mark.parametrize("marker", ["", "[]", "{", '{"config": {}}'])
def test_a_broken_marker_makes_nobody_the_owner(marker: str, tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text(marker, encoding="utf-8")
    with pytest.raises(SftError, match="by something else"):
        claim(tmp_path)


def test_the_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, "other")
    with pytest.raises(SftError, match="by another configuration"):
        claim(tmp_path)


def test_overwrite_takes_any_folder_and_leaves_what_it_does_not_replace(tmp_path: Path) -> None:
    claim(tmp_path, "other")
    (tmp_path / "thesis.docx").write_text("precious", encoding="utf-8")
    claim(tmp_path, overwrite=True)
    assert json.loads((tmp_path / MARKER).read_text(encoding="utf-8"))["run_id"] == "mine"
    assert (tmp_path / "thesis.docx").read_text(encoding="utf-8") == "precious"


def checkpoint(folder: Path, step: int, *, finished: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if finished:
        (path / "trainer_state.json").write_text("{}")
    return path


def test_checkpoints_of_another_configuration_are_not_there_to_resume_from(tmp_path: Path) -> None:
    claim(tmp_path, "other")
    checkpoint(tmp_path, 50)
    claim(tmp_path, overwrite=True)
    assert last_checkpoint(tmp_path) is None


def test_ones_own_checkpoints_stay(tmp_path: Path) -> None:
    claim(tmp_path)
    mine = checkpoint(tmp_path, 50)
    claim(tmp_path)
    claim(tmp_path, overwrite=True)
    assert last_checkpoint(tmp_path) == mine


def test_the_last_checkpoint_is_the_one_with_the_most_steps_that_was_finished(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step in (5, 100, 20):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 200, finished=False)
    cut_off = checkpoint(tmp_path, 300) / "trainer_state.json"
    cut_off.write_text('{"global_st')
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(SftError, match="is a file"):
        claim(tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SftError, match=r"training\.trainer_args\.output_dir"):
        claim(tmp_path / "file" / "out")


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A trained-looking adapter on a chat model named by a relative path, saved to `<tmp_path>/adapter`."""
    monkeypatch.chdir(tmp_path)
    save_tiny_model(tmp_path / "base", chat=True)
    loaded = load("./base")
    torch.manual_seed(0)
    loaded.model = with_lora(loaded.model, {"r": 2, "target_modules": "all-linear"})
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5)
    loaded.model.eval()
    save_trained(loaded, tmp_path / "adapter")
    return loaded


_PLAIN_PEFT = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
folder, ids = sys.argv[1], json.loads(sys.argv[2])
model = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
with torch.no_grad():
    logits = model(input_ids=torch.tensor(ids)).logits
print(json.dumps({"logits": logits.double().tolist(), "template": tokenizer.chat_template, "eos": tokenizer.eos_token}))
"""


def test_plain_peft_loads_it_from_any_working_directory_with_the_same_logits(
    saved: LoadedModel, tmp_path: Path
) -> None:
    ids = random_ids([9])
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _PLAIN_PEFT, str(tmp_path / "adapter"), json.dumps(ids)],
        cwd=tmp_path / "elsewhere",
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    with torch.no_grad():
        expected = saved.model(input_ids=torch.tensor(ids)).logits.double()
    # Another process may sum in another order.
    torch.testing.assert_close(torch.tensor(result["logits"], dtype=torch.float64), expected, atol=1e-5, rtol=0)
    assert result["template"] == CHATML
    assert result["eos"] == "<|im_end|>"


def test_it_holds_what_vllm_reads_and_no_copy_of_the_base(saved: LoadedModel, tmp_path: Path) -> None:
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert "model.safetensors" not in names
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert config["peft_type"] == "LORA"
    assert config["inference_mode"] is True


def test_a_base_on_the_hub_keeps_its_name(saved: LoadedModel, tmp_path: Path) -> None:
    saved.model.peft_config["default"].base_model_name_or_path = "someone/some-model"
    hub = LoadedModel(saved.model, saved.tokenizer, saved.source._replace(base="someone/some-model"), None)
    save_trained(hub, tmp_path / "hub")
    config = json.loads((tmp_path / "hub" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "someone/some-model"
