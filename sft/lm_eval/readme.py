"""The README of an exported task: how it is run, and where numbers may differ."""

from __future__ import annotations

from collections.abc import Sequence

from sft.lm_eval.commands import HarnessModel
from sft.lm_eval.rows import ExportedRow

_START = """\
# {task}

A task for EleutherAI's lm-evaluation-harness (made for version 0.4.13): {rows} test rows, each with its whole prompt
and its choices. `{metric}` is what `sft evaluate` calls accuracy. Run it in this folder:
"""
_NO_HF = """\
The harness's own `hf` can't be told on its command line how this model is loaded (quantised weights, or arguments that
are no texts or numbers); the model class of `sft` reads it from `config.json`.
"""
_HF = "by the harness's own model class; or by the scorer of `sft`, which reads what rows have in common once:\n"
_DIFFERENCES = """\
## Where scores could differ

The harness reads the same tokens as `sft evaluate`, special tokens included: that was checked for every choice of every
row. Scores are the same up to rounding, and so are predictions but for ties within rounding. What rounds differently:

- the dtype: `sft` takes the checkpoint's own on an accelerator and float32 on a CPU, which `dtype` says to `hf`;
- probabilities: `hf` computes them in the model's dtype, unless `softmax_dtype` says float32;
- padding: with another `--batch_size` sums have another order, which shows in 16 bits.

`--apply_chat_template`, `--num_fewshot`, `--system_instruction` and `--limit` would make another task of it: templates
are applied, in-context examples are in the contexts.
"""
_EXTRA = """\
In {rows} rows the harness also scores what a prompt ends in (white space, mostly), which no choice decides: its
log-likelihoods differ from the scores of `sft` by the same amount for all choices of a row. Their order, accuracy and
probabilities among them don't; `acc_norm` would mean nothing here.
"""


def readme(task: str, metric: str, hf: HarnessModel | None, own: HarnessModel, rows: Sequence[ExportedRow]) -> str:
    """hf: None where it can't load the model."""
    loaded = [_NO_HF] if hf is None else [_shell(hf.command(task)), _HF]
    parts = [_START.format(task=task, metric=metric, rows=len(rows)), *loaded, _shell(own.command(task)), _DIFFERENCES]
    extra = sum(row.extra_tokens != 0 for row in rows)
    return "\n".join([*parts, *([_EXTRA.format(rows=extra)] if extra else [])])


def _shell(command: str) -> str:
    return f"```sh\n{command}\n```\n"
