"""Run by a test with TRITON_INTERPRET=1: every Triton kernel against its slow twin. Prints how many agree."""

from __future__ import annotations

import torch

from sft.inference.logsumexp_kernel import row_logsumexp
from sft.inference.tree_attention.kernels import attend
from sft.inference.tree_attention.layout import Layout
from sft.inference.tree_attention.triton_kernel import tree_attention_kernel
from tests.unit.inference.test_tree_attention import BATCHES, CHOICES, HEADS, assert_equal, by_definition, tensors_for


def main() -> None:
    agree = 0
    for name in ("without a prefix", "with a prefix", "labels of one token"):
        batch = BATCHES[name]
        layout = Layout(batch, torch.device("cpu"))
        for heads in HEADS.values():
            new, prefix = tensors_for(batch, heads)
            for choice in CHOICES:
                want = by_definition(batch, new, prefix, 0.3, **choice)
                assert_equal(tree_attention_kernel(*new, layout, scale=0.3, prefix=prefix, **choice), want)
                agree += 1
                if prefix is not None and choice["window"] is None:
                    found = attend(new[0], *prefix, scale=0.3, softcap=choice["softcap"])
                    merged = tree_attention_kernel(*new, layout, scale=0.3, partial=found, **choice)
                    assert_equal(merged, want)
                    agree += 1
    for columns in (1, 5, 8192, 20_001):
        logits = torch.randn(7, columns) * 30
        if columns > 1:
            logits[0, 0] = float("-inf")
        for spread in (logits, logits.bfloat16()):
            torch.testing.assert_close(row_logsumexp(spread), spread.float().logsumexp(dim=-1))
            agree += 1
    print(f"{agree} agree")


if __name__ == "__main__":
    main()
