"""Exact log-probabilities of labels after prompts.

The scorer alone knows how a model is run; what comes out is `LabelScores`. The one here is the plain one: a full
sequence per prompt and label, no cache, nothing shared. It is right for every causal language model.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch

from sft.errors import ModelError, PromptError
from sft.inference.batching import run_in_batches
from sft.inference.scores import LabelScores
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt


class LabelScorer(Protocol):
    """Scores all labels of all prompts.

    end_id: the token scored after each label (see `label_end`), or None. Raises `PromptError` for a prompt without any
    token, `ModelError` for scores that are no numbers.
    """

    name: str

    def score(self, prompts: Sequence[LabelPrompt], end_id: int | None) -> LabelScores: ...


class _Sequence(NamedTuple):
    """One prompt with one label: where its score goes, its tokens, and how many of them are the prompt's."""

    row: int
    label: int
    ids: list[int]
    n_prompt: int


class NaiveLabelScorer:
    """One sequence per prompt and label, right-padded, log-softmax in float32 over the label's positions.

    The language-model head runs only from the first position that a label of the batch needs.
    """

    name = "naive"

    def __init__(self, loaded: LoadedModel, batch_size: int | Literal["auto"] = "auto") -> None:
        self._loaded = loaded
        self._batch_size: int | Literal["auto"] = batch_size
        forward = inspect.signature(loaded.base_model.forward)
        self._can_skip_logits = "logits_to_keep" in forward.parameters

    def score(self, prompts: Sequence[LabelPrompt], end_id: int | None) -> LabelScores:
        if not all(prompt.prompt for prompt in prompts):
            raise PromptError(
                "a prompt has no token before its answer, so the answer's first token can't be scored",
                "set prompting.instruction, or begin prompting.template with words",
            )
        end = [] if end_id is None else [end_id]
        sequences = [
            _Sequence(row, label, [*prompt.prompt, *ids, *end], len(prompt.prompt))
            for row, prompt in enumerate(prompts)
            for label, ids in enumerate(prompt.labels)
        ]
        scores = np.empty((len(prompts), len(prompts[0].labels)))

        def run(batch: Sequence[_Sequence]) -> None:
            for sequence, score in zip(batch, self._score_batch(batch), strict=True):
                scores[sequence.row, sequence.label] = score

        run_in_batches(
            sequences,
            lambda sequence: len(sequence.ids),
            run,
            batch_size=self._batch_size,
            device=self._loaded.device,
            description="scoring labels",
        )
        if np.isnan(scores).any():
            raise ModelError(
                "the model gives label scores that are no numbers",
                "another model_args.dtype may help (float16 overflows easily); or train the adapter again",
            )
        counts = np.array([[len(ids) for ids in prompt.labels] for prompt in prompts])
        return LabelScores(scores, counts)

    @torch.inference_mode()
    def _score_batch(self, batch: Sequence[_Sequence]) -> list[float]:
        device = self._loaded.device
        # The last token of a sequence is predicted, never read.
        width = max(len(sequence.ids) for sequence in batch) - 1
        pad = self._loaded.tokenizer.pad_token_id
        ids = torch.full((len(batch), width), pad)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for i, sequence in enumerate(batch):
            ids[i, : len(sequence.ids) - 1] = torch.tensor(sequence.ids[:-1])
            mask[i, : len(sequence.ids) - 1] = 1
        first = min(sequence.n_prompt for sequence in batch) - 1
        kept: dict[str, Any] = {"logits_to_keep": width - first} if self._can_skip_logits else {}
        model = self._loaded.model
        logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **kept).logits
        offset = width - logits.shape[1]
        results = []
        for i, sequence in enumerate(batch):
            targets = torch.tensor(sequence.ids[sequence.n_prompt :], device=logits.device)
            start = sequence.n_prompt - 1 - offset
            log_probs = logits[i, start : start + len(targets)].float().log_softmax(dim=-1)
            results.append(log_probs.gather(1, targets[:, None]).double().sum().item())
        return results
