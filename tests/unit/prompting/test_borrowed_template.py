"""`model.chat_template_from`: another tokenizer's template, if this vocabulary has the tokens that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from sft.errors import ModelError, SftError
from sft.models.source import ModelSource
from sft.models.tokenizer import load_tokenizer
from tests.fakes import CHATML, END_OF_TEXT, IM_END, byte_tokenizer, make_config

GEMMA_LIKE = "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
DEEPSEEK_LIKE = "{% for m in messages %}<｜{{ m.role }}｜>{{ m.content }}{% endfor %}"


def saved(folder: Path, *, chat: bool = False, special_tokens: list[str] | None = None) -> Path:
    byte_tokenizer(chat=chat, special_tokens=special_tokens or []).save_pretrained(folder)
    return folder


def load(folder: Path, template_from: Path | str | None) -> Any:
    config = make_config(model={"name": str(folder), "chat_template_from": template_from and str(template_from)}).model
    return load_tokenizer(config, ModelSource(str(folder), None))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A saved tokenizer without a template, whose vocabulary has ChatML's tokens."""
    return saved(tmp_path / "plain")


def test_the_template_of_another_tokenizer_is_used_with_ones_own_vocabulary(tmp_path: Path, plain: Path) -> None:
    lender = saved(tmp_path / "lender", chat=True, special_tokens=["<|unused|>"])
    tokenizer = load(plain, lender)
    assert tokenizer.chat_template == CHATML
    assert tokenizer.eos_token == END_OF_TEXT
    assert IM_END in tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


def test_a_template_may_come_from_a_file(tmp_path: Path, plain: Path) -> None:
    file = tmp_path / "chatml.jinja"
    file.write_text(CHATML, encoding="utf-8")
    assert load(plain, file).chat_template == CHATML


def test_without_the_key_the_tokenizer_keeps_its_own(tmp_path: Path, plain: Path) -> None:
    assert load(plain, None).chat_template is None
    assert load(saved(tmp_path / "chat", chat=True), None).chat_template == CHATML


# (template in a file, tokens that the message names)
MISSING = [
    (CHATML.replace("<|im_end|>", "<|eot_id|>"), "<|eot_id|>"),
    (CHATML.replace("assistant\n", "assistant\n<|think|>"), "<|think|>"),
    (GEMMA_LIKE, "<end_of_turn>, <start_of_turn>"),
    (DEEPSEEK_LIKE, "<｜assistant｜>, <｜user｜>"),
]


@pytest.mark.parametrize(("template", "tokens"), MISSING, ids=[tokens for _, tokens in MISSING])
def test_a_template_whose_special_tokens_are_missing_is_refused_by_name(
    tmp_path: Path, plain: Path, template: str, tokens: str
) -> None:
    file = tmp_path / "foreign.jinja"
    file.write_text(template, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load(plain, file)
    assert f"writes {tokens}, which the tokenizer of {str(plain)!r} doesn't have as tokens" in str(caught.value)


def test_markup_that_is_special_to_the_lender_only_is_refused_too(tmp_path: Path, plain: Path) -> None:
    """`[INST]` doesn't look special; that it is a token of the lender tells."""
    lender = byte_tokenizer(special_tokens=["[INST]", "[/INST]"])
    lender.chat_template = "{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}"
    lender.save_pretrained(tmp_path / "lender")
    with pytest.raises(ModelError, match=r"writes \[/INST\], \[INST\], which"):
        load(plain, tmp_path / "lender")
    accepting = saved(tmp_path / "accepting", special_tokens=["[INST]", "[/INST]"])
    assert load(accepting, tmp_path / "lender").chat_template == lender.chat_template


def test_special_strings_that_are_no_tokens_of_the_borrower_are_missing_though_they_can_be_spelled(
    tmp_path: Path,
) -> None:
    """A byte vocabulary can spell `<|im_end|>`, but then no single token ends an answer."""
    tokenizer = byte_tokenizer()
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token=END_OF_TEXT)
    bare.save_pretrained(tmp_path / "bare")
    text = (tmp_path / "bare" / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "bare" / "tokenizer.json").write_text(text.replace("<|im_end|>", "<|no_end|>"), encoding="utf-8")
    file = tmp_path / "chatml.jinja"
    file.write_text(CHATML, encoding="utf-8")
    with pytest.raises(ModelError, match=r"writes <\|im_end\|>, which"):
        load(tmp_path / "bare", file)


def test_a_lender_without_a_template_and_a_missing_one_are_refused(tmp_path: Path, plain: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template"):
        load(plain, saved(tmp_path / "lender"))
    with pytest.raises(SftError, match=r"model\.chat_template_from: no file or folder"):
        load(plain, tmp_path / "none.jinja")
    (tmp_path / "no tokenizer").mkdir()
    with pytest.raises(ModelError, match="can't load the tokenizer"):
        load(plain, tmp_path / "no tokenizer")


@pytest.mark.parametrize("template", ["{% for", "{{ raise_exception('no') }}", "{{ messages + 1 }}"])
def test_a_template_that_does_not_work_is_refused(tmp_path: Path, plain: Path, template: str) -> None:
    file = tmp_path / "broken.jinja"
    file.write_text(template, encoding="utf-8")
    with pytest.raises(ModelError, match="can't be rendered"):
        load(plain, file)


def test_a_tokenizer_without_padding_pads_with_its_end(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    assert load(tmp_path, None).pad_token == END_OF_TEXT


def test_real_templates_are_lent_between_real_tokenizers(assets: Path) -> None:
    tokenizers = assets / "tokenizers"
    lent = load(tokenizers / "qwen3", tokenizers / "qwen2.5-instruct").chat_template
    assert lent == (tokenizers / "qwen2.5-instruct" / "chat_template.jinja").read_text(encoding="utf-8")
    for borrower, lender in [("gpt2", "qwen2.5-instruct"), ("qwen3", "llama3.1-instruct")]:
        with pytest.raises(ModelError, match="doesn't have as tokens"):
            load(tokenizers / borrower, tokenizers / lender)
    with pytest.raises(ModelError, match="<end_of_turn>, <start_of_turn>"):
        load(tokenizers / "smollm2-instruct", assets / "chat_templates" / "gemma.jinja")
