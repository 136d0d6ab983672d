"""The tokenizer of a run: borrowed chat templates, padding, and the adapter's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft.config.schema import ModelConfig
from sft.errors import ModelError, SftError
from sft.models.source import ModelSource
from sft.models.tokenizer import load_tokenizer
from tests.fakes import CHATML, END_OF_TEXT, IM_END, byte_tokenizer

MESSAGES = [{"role": "user", "content": "hi"}]
INST = "{% for m in messages %}[INST]{{ m['content'] }}[/INST]{% endfor %}"
GEMMA = "{% for m in messages %}<start_of_turn>{{ m['content'] }}<end_of_turn>{% endfor %}"


def saved(folder: Path, **arguments: Any) -> Path:
    byte_tokenizer(**arguments).save_pretrained(folder)
    return folder


def load(folder: Path, adapter: Path | None = None, **config: Any) -> Any:
    return load_tokenizer(ModelConfig(name=str(folder), **config), ModelSource(str(folder), adapter))


def rendered(tokenizer: Any) -> str:
    text: str = tokenizer.apply_chat_template(MESSAGES, tokenize=False)
    return text


def test_a_tokenizer_without_a_template_stays_without_one(tmp_path: Path) -> None:
    assert not load(saved(tmp_path)).chat_template


def test_a_template_is_borrowed_from_another_tokenizer(tmp_path: Path) -> None:
    lender = saved(tmp_path / "lender", chat=True)
    tokenizer = load(saved(tmp_path / "own"), chat_template_from=str(lender))
    assert rendered(tokenizer) == "<|im_start|>user\nhi<|im_end|>\n"
    assert tokenizer.eos_token == END_OF_TEXT


def test_a_template_is_borrowed_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "chatml.jinja"
    file.write_text(CHATML, encoding="utf-8")
    tokenizer = load(saved(tmp_path / "own"), chat_template_from=str(file))
    assert rendered(tokenizer) == "<|im_start|>user\nhi<|im_end|>\n"


def test_a_borrowed_template_replaces_the_own_one(tmp_path: Path) -> None:
    file = tmp_path / "plain.jinja"
    file.write_text("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}", encoding="utf-8")
    assert rendered(load(saved(tmp_path / "own", chat=True), chat_template_from=str(file))) == "user: hi\n"


@pytest.mark.parametrize(
    ("template", "special_tokens", "missing"),
    [(GEMMA, ["<start_of_turn>"], "<end_of_turn>"), (CHATML.replace("im_end", "eot_id"), [], "<|eot_id|>")],
)
def test_a_template_from_a_file_whose_tokens_do_not_exist_is_refused(
    template: str, special_tokens: list[str], missing: str, tmp_path: Path
) -> None:
    file = tmp_path / "borrowed.jinja"
    file.write_text(template, encoding="utf-8")
    own = saved(tmp_path / "own", special_tokens=special_tokens)
    with pytest.raises(ModelError, match="which the tokenizer of") as caught:
        load(own, chat_template_from=str(file))
    assert f"writes {missing}," in str(caught.value).replace("\\", "")


def test_a_lenders_own_special_tokens_must_exist_whatever_they_look_like(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(special_tokens=["[INST]", "[/INST]"])
    tokenizer.chat_template = INST
    tokenizer.save_pretrained(tmp_path / "lender")
    with pytest.raises(ModelError, match=r"\[/INST\], \[INST\]"):
        load(saved(tmp_path / "own"), chat_template_from=str(tmp_path / "lender"))
    both = saved(tmp_path / "both", special_tokens=["[INST]", "[/INST]"])
    assert rendered(load(both, chat_template_from=str(tmp_path / "lender"))) == "[INST]hi[/INST]"


def test_a_lender_without_a_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template"):
        load(saved(tmp_path / "own"), chat_template_from=str(saved(tmp_path / "lender")))


def test_a_lender_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftError, match=r"model\.chat_template_from: no file or folder"):
        load(saved(tmp_path / "own"), chat_template_from=f"{tmp_path}/nothing")


def test_a_template_that_does_not_compile_is_an_error_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "broken.jinja"
    file.write_text("{% for m in messages %}", encoding="utf-8")
    with pytest.raises(SftError, match="chat template"):
        load(saved(tmp_path / "own"), chat_template_from=str(file))


def test_the_template_that_an_adapter_was_trained_with_comes_first(tmp_path: Path) -> None:
    base, adapter = saved(tmp_path / "base"), saved(tmp_path / "adapter", chat=True)
    assert rendered(load(base, adapter)) == "<|im_start|>user\nhi<|im_end|>\n"
    (tmp_path / "bare").mkdir()
    assert not load(base, tmp_path / "bare").chat_template


def without(folder: Path, *keys: str) -> Path:
    """Remove entries of a saved tokenizer's config."""
    file = folder / "tokenizer_config.json"
    value = json.loads(file.read_text(encoding="utf-8"))
    for key in keys:
        value.pop(key)
    file.write_text(json.dumps(value), encoding="utf-8")
    return folder


def test_eos_pads_where_there_is_no_padding_token(tmp_path: Path) -> None:
    tokenizer = load(without(saved(tmp_path, chat=True), "pad_token"))
    assert tokenizer.pad_token == IM_END
    assert load(saved(tmp_path / "whole", chat=True)).pad_token == END_OF_TEXT


def test_a_tokenizer_with_no_token_to_pad_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no token to pad with"):
        load(without(saved(tmp_path), "pad_token", "eos_token"))


def test_a_folder_without_a_tokenizer_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with pytest.raises(ModelError, match=f"can't load the tokenizer '{tmp_path}'"):
        load(tmp_path)
