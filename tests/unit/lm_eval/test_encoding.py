"""Our account of lm-eval's tokenisation is what lm-eval 0.4.13 does, for real tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.lm_eval.encoding import HarnessEncoding
from tests.fakes import END_OF_TEXT, byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, tokenizer_named

huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="lm_eval is not installed")

PAIRS = [
    ("Review: a fine film\nIt is", " good"),
    ("Review: a fine film\nIt is ", "good"),
    ("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", "yes<|im_end|>"),
    ("wor", "ld"),
    ("العربية", " نعم"),
]


def harness(tokenizer: Any, add_bos: bool | None) -> Any:
    """lm-eval's model class with a tokenizer and no model."""
    model = object.__new__(huggingface.HFLM)
    model.tokenizer, model.add_bos_token, model.custom_prefix_token_id = tokenizer, add_bos, None
    return model


@pytest.mark.parametrize("add_bos", [None, True, False])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_pairs_are_split_as_by_the_harness(name: str, add_bos: bool | None, assets: Path) -> None:
    tokenizer = tokenizer_named(name)
    encoding, peer = HarnessEncoding(tokenizer, add_bos), harness(tokenizer, add_bos)
    begun = [(f"{tokenizer.bos_token}{context}", answer) for context, answer in PAIRS if tokenizer.bos_token]
    for context, answer in [*PAIRS, *begun]:
        assert tuple(encoding.split(context, answer)) == peer._encode_pair(context, answer)


def test_a_text_that_begins_with_the_prefix_token_gets_no_second_one() -> None:
    tokenizer = byte_tokenizer(special_tokens=["<bos>"])
    tokenizer.bos_token = "<bos>"
    tokenizer.add_bos_token = True
    encoding = HarnessEncoding(tokenizer)
    assert encoding.encode("<bos>a") == tokenizer.convert_tokens_to_ids(["<bos>", "a"])
    assert encoding.encode(END_OF_TEXT) == harness(tokenizer, None).tok_encode(END_OF_TEXT)
