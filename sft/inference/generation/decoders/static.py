"""Batches of rows sorted by length, left-padded, by transformers' `generate`: whatever that can do, and any model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from sft.inference.batching import run_in_batches
from sft.inference.generation.answer_text import LOOK_EVERY, AnswerText
from sft.inference.generation.decoders.base import DecoderOptions, Done, Prompt, decoder_registry
from sft.inference.generation.sampling import sampled_by_row, seed_of_row
from sft.inference.generation.settings import Decoding, in_place_of_own
from sft.models.load import LoadedModel

_DETERMINISTIC = frozenset({"greedy_search", "beam_search"})


@decoder_registry.register("static")
class StaticDecoder:
    def __init__(self, loaded: LoadedModel, decoding: Decoding, options: DecoderOptions) -> None:
        self._loaded, self._decoding, self._options = loaded, decoding, options
        self._text = AnswerText(loaded, decoding)
        # Samples of beams are drawn by torch's own generator, which is then seeded for each row.
        self._one_by_one = decoding.mode not in _DETERMINISTIC | {"sample"}

    def __call__(self, prompts: Sequence[Prompt], seed: int, done: Done) -> None:
        def run(batch: Sequence[Prompt]) -> None:
            for prompt, ids in zip(batch, self._continued(batch, seed), strict=True):
                done(prompt.number, ids[: prompt.limit])

        # Samples of beams draw from the global generators, which are as before afterwards.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            run_in_batches(
                prompts,
                lambda prompt: len(prompt.ids) + prompt.limit,
                run,
                batch_size=1 if self._one_by_one else self._options.batch_size,
                device=self._loaded.device,
                description="generating answers",
                # Padding between an adapter's own vectors and the prompt shifts the prompt's positions (PEFT 0.21).
                unpadded=self._loaded.virtual_tokens > 0,
            )

    @torch.inference_mode()
    def _continued(self, prompts: Sequence[Prompt], seed: int) -> list[list[int]]:
        """The new tokens of each row, with padding after its end."""
        device = self._loaded.device
        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.full((len(prompts), width), int(self._loaded.tokenizer.pad_token_id))
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[i, width - len(prompt.ids) :] = 1
        limit = max(prompt.limit for prompt in prompts)
        with in_place_of_own(self._loaded, self._decoding.for_generate(limit)), warnings.catch_warnings():
            # PEFT drops the positions that `generate` makes for prompts after an adapter's own vectors; without
            # padding, the model counts the right ones.
            warnings.filterwarnings("ignore", message="Position ids are not supported for parameter efficient tuning")
            outputs = self._loaded.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                **self._arguments(prompts, limit, width, seed),
            )
        return [output[width:].tolist() for output in outputs]

    def _arguments(self, prompts: Sequence[Prompt], limit: int, width: int, seed: int) -> dict[str, Any]:
        """What is beside the config: limits of rows, texts that end them, the constraint, and draws."""
        arguments: dict[str, Any] = {}
        if self._options.constraint is not None:
            processor = self._options.constraint.processor(len(prompts), limit)
            arguments["logits_processor"] = LogitsProcessorList([processor])
        criteria: list[StoppingCriteria] = [*self._decoding.stop_criteria(self._loaded.tokenizer)]
        if min(prompt.limit for prompt in prompts) < limit:
            criteria.append(_RowLimits([width + prompt.limit for prompt in prompts]))
        if self._decoding.separator is not None and self._decoding.mode in ("greedy_search", "sample"):
            criteria.append(_TextIsOver(self._text.is_over, width))
        arguments["stopping_criteria"] = StoppingCriteriaList(criteria)
        if self._decoding.mode == "sample":
            arguments["custom_generate"] = sampled_by_row(seed, [prompt.number for prompt in prompts], limit)
        elif self._one_by_one:
            torch.manual_seed(seed_of_row(seed, prompts[0].number))
        return arguments


class _RowLimits(StoppingCriteria):  # type: ignore[misc]
    """Ends each row at a length of its own."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = torch.tensor(lengths)

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Any:
        return (input_ids.shape[1] >= self._lengths).to(input_ids.device)


class _TextIsOver(StoppingCriteria):  # type: ignore[misc]
    """Ends the rows whose answers have ended in a way that only their texts show."""

    def __init__(self, is_over: Callable[[list[int]], bool], width: int) -> None:
        self._is_over, self._width = is_over, width

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Any:
        if (input_ids.shape[1] - self._width) % LOOK_EVERY:
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        over = [self._is_over(ids) for ids in input_ids[:, self._width :].tolist()]
        return torch.tensor(over, device=input_ids.device)
