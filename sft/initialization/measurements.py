"""What layers read, and the loss's gradient by their weights, on the training shots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sft.initialization.factors import LowRankFactors
from sft.initialization.initializers.base import Kind
from sft.initialization.original import original_weights
from sft.progress import progress
from sft.prompting.labelled import IGNORED, LabelledIds

MAX_ROWS = 64
"""So many of the shots are measured, drawn by seed."""
_MAX_TOKENS = 8192
_BYTES_AT_A_TIME = 2**31


class Measurements:
    """Runs the model on the shots as often as memory asks: the measurements of some layers at a time."""

    def __init__(self, model: Any, rows: Sequence[LabelledIds], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(rows), generator=generator)[:MAX_ROWS].tolist()
        self._model = model
        self.rows = [rows[i] for i in sorted(chosen)]

    def of(self, factors: Sequence[LowRankFactors], kind: Kind) -> Iterator[tuple[LowRankFactors, Tensor]]:
        """Each of the factors with its layer's measurement, float32, at the present weights and without dropout.

        inputs: `[tokens, in]`, at most 8192, spread over the rows. gradient: `[out, in]` of the loss (mean over a
        row's answer, then over rows). original: the weight before quantisation.
        """
        if kind == "original":
            yield from original_weights(self._model, factors)
            return
        for group in progress(list(self._groups(factors, kind)), "measuring layers on the shots"):
            found = self._measure(group, kind)
            for one in group:
                yield one, found.pop(one.name)

    def _groups(self, factors: Sequence[LowRankFactors], kind: Kind) -> Iterator[list[LowRankFactors]]:
        group: list[LowRankFactors] = []
        size = 0
        tokens = min(_MAX_TOKENS, sum(len(row.ids) for row in self.rows))
        for one in factors:
            bytes_of_one = 4 * one.a.shape[1] * (tokens if kind == "inputs" else one.b.shape[0])
            if group and size + bytes_of_one > _BYTES_AT_A_TIME:
                yield group
                group, size = [], 0
            group.append(one)
            size += bytes_of_one
        if group:
            yield group

    def _measure(self, group: Sequence[LowRankFactors], kind: Kind) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {one.name: [] for one in group}
        hook = self._keep_inputs if kind == "inputs" else self._add_gradient
        was_training = self._model.training
        handles = [one.module.register_forward_hook(hook(found[one.name])) for one in group]
        self._model.eval()
        try:
            with torch.enable_grad() if kind == "gradient" else torch.no_grad():
                for row in self.rows:
                    self._run(row, kind)
        finally:
            for handle in handles:
                handle.remove()
            self._model.train(was_training)
            self._model.zero_grad(set_to_none=True)
        if kind == "inputs":
            return {name: torch.cat(parts) for name, parts in found.items()}
        return {name: parts[0] / len(self.rows) for name, parts in found.items()}

    def _run(self, row: LabelledIds, kind: Kind) -> None:
        device = self._model.get_input_embeddings().weight.device
        ids = torch.tensor([row.ids], device=device)
        if kind == "inputs":
            self._model(input_ids=ids, use_cache=False)
            return
        logits = self._model(input_ids=ids, use_cache=False).logits
        targets = torch.tensor(row.labels[1:], device=logits.device)
        wanted = targets != IGNORED
        loss: Any = torch.nn.functional.cross_entropy(logits[0, :-1][wanted].float(), targets[wanted])
        loss.backward()

    def _keep_inputs(self, parts: list[Tensor]) -> Callable[..., None]:
        per_row = max(1, _MAX_TOKENS // len(self.rows))

        def keep(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            tokens = inputs[0].detach().reshape(-1, inputs[0].shape[-1])
            step = -(-len(tokens) // per_row)
            parts.append(tokens[::step].float())

        return keep

    def _add_gradient(self, parts: list[Tensor]) -> Callable[..., None]:
        def watch(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
            x = inputs[0].detach().reshape(-1, inputs[0].shape[-1]).float()

            def add(gradient: Tensor) -> None:
                product = gradient.reshape(-1, gradient.shape[-1]).float().T @ x
                parts[:] = [parts[0] + product if parts else product]

            output.register_hook(add)

        return watch
