"""The language head on the positions that are in the loss, and on no others."""

from __future__ import annotations

import functools
from typing import Any

from sft.prompting.labelled import IGNORED


def project_answers_only(model: Any) -> None:
    """Have TRL's fused head project answers only, on every device.

    model: one to which TRL has added that head. It leaves out prompts and padding where Triton is, and projects every
    position elsewhere; the loss and its gradients are the same. The backbone's last hidden states are cut down to the
    positions before an answer's tokens, and TRL gets them as labels that are shifted already. Per-token outputs then
    are [1, answer tokens].
    """
    fused = model.forward

    @functools.wraps(fused)
    def forward(*args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None:
            return fused(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        targets = labels[:, 1:]
        in_loss = targets != IGNORED

        def cut_down(module: Any, inputs: Any, outputs: Any) -> Any:
            hidden = outputs.last_hidden_state[:, :-1]
            outputs.last_hidden_state = hidden[in_loss.to(hidden.device)].unsqueeze(0)
            return outputs

        hook = model.base_model.register_forward_hook(cut_down)
        try:
            return fused(*args, fused_lm_head=True, shift_labels=targets[in_loss].unsqueeze(0), **kwargs)
        finally:
            hook.remove()

    model.forward = forward
