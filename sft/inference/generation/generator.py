"""Generated answers: `generate` on rows sorted by length, left-padded, decoded without the prompt."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from transformers import LogitsProcessorList

from sft.errors import SftError
from sft.inference.batching import run_in_batches
from sft.inference.generation.constraint import Constraint
from sft.models.load import LoadedModel
from sft.prompting.format import PromptFormat

logger = logging.getLogger(__name__)

# transformers refuses whole numbers here, and JSONNET writes 2.0 as 2.
_FLOATS = ("temperature", "repetition_penalty", "encoder_repetition_penalty")


class _Prompt(NamedTuple):
    row: int
    ids: list[int]


class Generator:
    """Generates one answer per prompt.

    Greedy unless `arguments` (of transformers' `GenerationConfig`) says otherwise: what a checkpoint's own
    generation config suggests (sampling, penalties) is not used, so that runs compare. An answer ends at the
    end-of-turn, at any EOS that the model's own generation config names, and, in the plain format after in-context
    examples, where the next example would begin.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompt_format: PromptFormat,
        arguments: dict[str, Any],
        *,
        max_new_tokens: int,
        ends_at_separator: bool,
        batch_size: int | Literal["auto"],
    ) -> None:
        self._loaded = loaded
        self._batch_size: int | Literal["auto"] = batch_size
        self._separator = prompt_format.separator if ends_at_separator else None
        self._config = self._generation_config(arguments, prompt_format.eot_id, max_new_tokens)

    def generate(self, prompts: Sequence[list[int]], seed: int, *, constraint: Constraint | None = None) -> list[str]:
        """One text per prompt, in order, without special tokens and surrounding white space.

        constraint: what the texts may be, None for whatever the model says.
        """
        answers = [""] * len(prompts)
        # `generate` fills what a given config leaves open from the model's own, so the model's own is replaced.
        base = self._loaded.base_model
        before, base.generation_config = base.generation_config, self._config

        def run(batch: Sequence[_Prompt]) -> None:
            for prompt, answer in zip(batch, self._generate_batch([p.ids for p in batch], constraint), strict=True):
                answers[prompt.row] = answer

        try:
            # Sampling draws from the global generators, which are as before afterwards.
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                torch.manual_seed(seed)
                run_in_batches(
                    [_Prompt(row, ids) for row, ids in enumerate(prompts)],
                    lambda prompt: len(prompt.ids) + self._config.max_new_tokens,
                    run,
                    batch_size=self._batch_size,
                    device=self._loaded.device,
                    description="generating answers",
                    # Padding between an adapter's own vectors and the prompt shifts the prompt's positions (PEFT 0.21).
                    unpadded=self._loaded.virtual_tokens > 0,
                )
        except (TypeError, ValueError) as error:  # some values are checked where they are used
            raise _refused(error) from error
        finally:
            base.generation_config = before
        return answers

    @torch.inference_mode()
    def _generate_batch(self, prompts: Sequence[list[int]], constraint: Constraint | None) -> list[str]:
        device = self._loaded.device
        tokenizer: Any = self._loaded.tokenizer
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        processors = [] if constraint is None else [constraint.processor(len(prompts), self._config.max_new_tokens)]
        with warnings.catch_warnings():
            # PEFT drops the positions that `generate` makes for prompts after an adapter's own vectors; without
            # padding, the model counts the right ones.
            warnings.filterwarnings("ignore", message="Position ids are not supported for parameter efficient tuning")
            outputs = self._loaded.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                tokenizer=tokenizer,
                logits_processor=LogitsProcessorList(processors),
            )
        return [self._text(output[width:].tolist()) for output in outputs]

    def _text(self, ids: list[int]) -> str:
        ends = set(self._config.eos_token_id)
        end = next((i for i, token in enumerate(ids) if token in ends), len(ids))
        tokenizer: Any = self._loaded.tokenizer
        text: str = tokenizer.decode(ids[:end], skip_special_tokens=True)
        if self._separator is not None:
            text = text.lstrip().partition(self._separator)[0]
        for stop in self._stop_strings():
            text = text.partition(stop)[0]
        return text.strip()

    def _stop_strings(self) -> list[str]:
        stop = self._config.stop_strings
        return [stop] if isinstance(stop, str) else list(stop or [])

    def _generation_config(self, arguments: dict[str, Any], eot_id: int, max_new_tokens: int) -> Any:
        from transformers import GenerationConfig

        tokenizer: Any = self._loaded.tokenizer
        own = self._loaded.base_model.generation_config
        ends = own.eos_token_id if own is not None else None
        ends = ends if isinstance(ends, list) else [ends]
        eos = dict.fromkeys(token for token in (eot_id, tokenizer.eos_token_id, *ends) if token is not None)
        settings = {"do_sample": False, "max_new_tokens": max_new_tokens, **arguments}
        settings |= {name: float(settings[name]) for name in _FLOATS if isinstance(settings.get(name), int)}
        try:
            config = GenerationConfig(
                **settings,
                eos_token_id=list(eos),
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
            )
            config.validate()
        except (TypeError, ValueError) as error:
            raise _refused(error) from error
        return config


def _refused(error: Exception) -> SftError:
    return SftError(f"inference.generation_args: transformers refuses them: {error}")
