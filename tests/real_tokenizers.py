"""Real tokenizers and chat templates of the test assets, by name, for tests that run over all of them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from transformers import AutoTokenizer

from sft.prompting.encoder import TextEncoder
from tests.conftest import assets_folder

# Markup that templates write and that gpt2 doesn't have; several are written in pieces or by variables.
_MARKUP = re.compile(r"<[|｜][^<>|｜\s]+[|｜]>|</?think>|<(?:start|end)_of_turn>")

# Without assets one name stands for all, for which the fixture `assets` skips the test with its reason.
NO_ASSETS = "no assets"
TOKENIZERS = sorted(path.name for path in (assets_folder() / "tokenizers").glob("*/") if path.is_dir()) or [NO_ASSETS]
TEMPLATES = sorted(path.name for path in (assets_folder() / "chat_templates").glob("*.jinja"))
ALL = [*TOKENIZERS, *TEMPLATES]
WITH_TEMPLATE = [name for name in ALL if name != "gpt2"]


@cache
def tokenizer_named(name: str) -> Any:
    """A tokenizer of the assets; for `x.jinja`, gpt2's with that template and the special tokens that it writes."""
    if not name.endswith(".jinja"):
        return AutoTokenizer.from_pretrained(assets_folder() / "tokenizers" / name)
    tokenizer = AutoTokenizer.from_pretrained(assets_folder() / "tokenizers" / "gpt2")
    template = (assets_folder() / "chat_templates" / name).read_text(encoding="utf-8")
    written = sorted(set(_MARKUP.findall(template)))
    tokenizer.add_special_tokens({"bos_token": "<bos>", "additional_special_tokens": written})
    tokenizer.chat_template = template
    return tokenizer


@cache
def encoder_named(name: str) -> TextEncoder:
    """Making one takes seconds for a large vocabulary."""
    return TextEncoder(tokenizer_named(name))


def surface(tokenizer: Any, ids: list[int]) -> str:
    """The text of tokens inside a text, with the space that a decoder drops from a text's first word."""
    anchor = tokenizer("x", add_special_tokens=False)["input_ids"][-1:]
    start: str = tokenizer.decode(anchor)
    text: str = tokenizer.decode([*anchor, *ids], skip_special_tokens=False)
    assert text.startswith(start)
    return text[len(start) :]
