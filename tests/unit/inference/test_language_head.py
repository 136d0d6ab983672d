"""Log-probabilities of chosen tokens, some rows at a time, against the model's own logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sft.inference.language_head import LanguageHead
from tests.tiny_models import random_ids, tiny_loaded


@pytest.mark.parametrize("rows_at_once", [1, 3, 4, 100])
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "cohere", "granite", "gpt2"])
@torch.no_grad()
def test_chosen_log_probabilities_are_the_models_own(architecture: str, rows_at_once: int) -> None:
    """Gemma 2 caps its logits, Cohere and Granite scale them; GPT-2's head is tied."""
    model = tiny_loaded(architecture).model
    ids = torch.tensor(random_ids([12]))
    output = model(input_ids=ids, output_hidden_states=True)
    expected = output.logits[0].double().log_softmax(dim=-1)
    scored = np.array([11, 0, 5, 5, 7])
    rows, tokens = np.array([0, 0, 1, 2, 2, 2, 4]), np.array([3, 200, 7, 0, 255, 7, 9])
    found = LanguageHead(model).log_probs(output.hidden_states[-1][0], scored, rows, tokens, rows_at_once=rows_at_once)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected[scored[rows], tokens], atol=1e-5, rtol=0)
