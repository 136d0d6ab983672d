"""log-sum-exp over the vocabulary, reading every logit once and writing none.

With a vocabulary of 150 000, torch's own log-softmax takes longer than the matrix product that makes the logits: it
writes a float32 copy of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sft.inference.triton_support import runs_triton


def chosen_log_probs(logits: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
    """log-softmax(logits)[rows, tokens] in float32. logits: [R, V]. rows, tokens: [E]."""
    if runs_triton(logits):
        from sft.inference.logsumexp_kernel import row_logsumexp

        return logits[rows, tokens].float() - row_logsumexp(logits)[rows]
    return logits.log_softmax(dim=-1, dtype=torch.float32)[rows, tokens]
