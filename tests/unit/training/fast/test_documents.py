"""A flat row of documents: each is computed as alone, logits and gradients, and sees nothing of the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sft.inference.backbone import attending
from sft.training.fast import documents
from sft.training.fast.documents import Documents
from sft.training.fast.flat import FlatCollator
from tests.fakes import byte_tokenizer
from tests.tiny_models import SLIDING_WINDOW, random_ids, tiny_model

LENGTHS = (7, 2 * SLIDING_WINDOW + 3, 1, 12)
ATTENDED = (
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2", "opt", "gpt_neox", "phi3", "gpt_oss", "cohere",
    "granite", "mixtral",
)  # fmt: skip


def flat(ids: list[list[int]]) -> dict[str, Any]:
    return {
        "input_ids": torch.tensor([token for row in ids for token in row])[None],
        "position_ids": torch.cat([torch.arange(len(row)) for row in ids])[None],
        "documents": Documents.of([len(row) for row in ids], torch.device("cpu")),
    }


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("architecture", ATTENDED)
def test_each_document_is_computed_as_alone(architecture: str) -> None:
    model = tiny_model(architecture, byte_tokenizer())
    ids = random_ids(LENGTHS)
    alone = torch.cat([model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in ids])
    alone.square().mean().backward()
    expected = gradients(model)
    with attending(model, documents.NAME):
        together = model(**flat(ids), use_cache=False).logits[0]
    together.square().mean().backward()
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-5)
    found = gradients(model)
    assert found.keys() == expected.keys()
    # Some gradients are zero but for rounding: attention doesn't depend on the bias of keys.
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6 * largest, rtol=1e-4, msg=name)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_a_document_does_not_depend_on_its_neighbours(architecture: str) -> None:
    model = tiny_model(architecture, byte_tokenizer())
    first, second, third = random_ids((9, 12, 5))
    with attending(model, documents.NAME), torch.no_grad():
        before = model(**flat([first, second]), use_cache=False).logits[0]
        after = model(**flat([first, third]), use_cache=False).logits[0]
    assert torch.equal(before[:9], after[:9])


def test_attention_weights_are_dropped_out_in_training() -> None:
    query, key, value = torch.randn(3, 1, 4, 40, 8, generator=torch.Generator().manual_seed(0))
    kept = documents.document_attention(None, query, key, value, documents=Documents.of([40], query.device))[0]
    torch.manual_seed(0)
    dropped = [
        documents.document_attention(
            None, query, key, value, documents=Documents.of([40], query.device), dropout=0.5, softcap=softcap
        )[0]
        for softcap in (None, 1e4)  # by torch's attention, and by operations of its own
    ]
    for found in dropped:
        assert not torch.allclose(found, kept)
    more = torch.stack(
        [
            documents.document_attention(
                None, query, key, value, documents=Documents.of([40], query.device), dropout=0.5
            )[0]
            for _ in range(600)
        ]
    )
    torch.testing.assert_close(more.mean(dim=0), kept, atol=0.35, rtol=0)


def test_mixed_precision_is_that_of_torchs_attention() -> None:
    query, key, value = torch.randn(3, 1, 4, 10, 8, generator=torch.Generator().manual_seed(0))
    places = Documents.of([10], query.device)
    with torch.autocast("cpu", torch.bfloat16):
        found = documents.document_attention(None, query, key, value, documents=places)[0]
        expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_a_flat_batch_says_where_its_answers_are() -> None:
    rows = [
        {"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 7, 8]},
        {"input_ids": [9, 10], "labels": [9, 10]},  # nothing predicts its first token
    ]
    batch = FlatCollator()(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 8, -100, 10]]
    assert batch["lengths"] == [4, 2]
    assert batch["answer_at"].tolist() == [1, 2, 4]
    assert batch["answer_ids"].tolist() == [7, 8, 10]
