"""Generated answers: prompts in, texts out, whichever way they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sft.distributed import gathered, on_main, rank, world_size
from sft.errors import SftError
from sft.inference.batching import BatchSize
from sft.inference.generation.answer_text import AnswerText
from sft.inference.generation.choose import DecoderChoice, choose_decoder
from sft.inference.generation.constraint import Constraint
from sft.inference.generation.decoders import DecoderOptions, Prompt, decoder_registry
from sft.inference.generation.finished_rows import FinishedRows
from sft.inference.generation.settings import Decoding, generation_config, refused
from sft.inference.shards import key_of
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel
from sft.prompting.format import PromptFormat

DecoderName = Literal["auto", "continuous", "static"]


class Generator:
    """Generates one answer per prompt.

    Greedy unless `arguments` (of transformers' `GenerationConfig`) says otherwise: what a checkpoint's own
    generation config suggests (sampling, penalties) is not used, so that runs compare. An answer ends at the
    end-of-turn, at any EOS that the model's own generation config names, and, in the plain format after in-context
    examples, where the next example would begin. decoder: `auto` for the fastest that serves. strips: whether texts
    come without surrounding white space.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompt_format: PromptFormat,
        arguments: dict[str, Any],
        *,
        max_new_tokens: int,
        ends_at_separator: bool,
        batch_size: BatchSize,
        decoder: DecoderName = "auto",
        strips: bool = True,
    ) -> None:
        self._loaded = loaded
        self._batch_size: BatchSize = batch_size
        self._wanted: DecoderName = decoder
        config = generation_config(loaded, arguments, prompt_format.eot_id, max_new_tokens)
        self._decoding = Decoding(config, prompt_format.separator if ends_at_separator else None)
        self._text = AnswerText(loaded, self._decoding, strips=strips)
        self._choice: DecoderChoice | None = None

    def generate(
        self,
        prompts: Sequence[list[int]],
        seed: int,
        *,
        constraint: Constraint | None = None,
        finished: FinishedRows | None = None,
    ) -> list[str]:
        """One text per prompt, in order, without special tokens.

        seed: of sampling; a row's draws depend on it and on the row's number alone. constraint: what the texts may be,
        None for whatever the model says. finished: where a row's text is kept as soon as it has ended; those that are
        there aren't generated again.
        """
        limit = self._decoding.max_new_tokens
        keys = [key_of(seed, limit, row, *ids) for row, ids in enumerate(prompts)]
        known = {} if finished is None else {row: finished.get(key) for row, key in enumerate(keys)}
        texts = _of_all({row: text for row, text in known.items() if text is not None})
        waiting = [Prompt(row, ids, limit) for row, ids in enumerate(prompts) if row not in texts]
        made: dict[int, str] = {}

        def done(row: int, ids: list[int]) -> None:
            made[row] = text = self._text(ids)
            if finished is not None:
                finished.put(keys[row], text)

        if waiting:
            try:
                self._choice = self._chosen(waiting, constraint)
                # Every so many-th row: those beside each other may be alike in length.
                if own := waiting[rank() :: world_size()]:
                    self._choice.decoder(own, seed, done)
            except (TypeError, ValueError) as error:  # some values are checked where they are used
                raise refused(error) from error
        texts |= _of_all(made)
        assert len(texts) == len(prompts), "a decoder left rows out"
        return [texts[row] for row in range(len(prompts))]

    def report(self) -> dict[str, Any]:
        """Which decoder generated the last rows, and why; nothing where all were there."""
        return {} if self._choice is None else self._choice.report()

    def _chosen(self, prompts: Sequence[Prompt], constraint: Constraint | None) -> DecoderChoice:
        options = DecoderOptions(self._batch_size, constraint)
        if self._wanted == "auto":
            choice = choose_decoder(self._loaded, self._decoding, options, prompts)
            name = on_main(lambda: choice.name)  # rounding may tell another process otherwise
            return choice if choice.name == name else self._named(name, options, "the first process uses it")
        try:
            return self._named(self._wanted, options, "the config says so")
        except UnsupportedModelError as error:
            raise SftError(f"inference.decoder {self._wanted!r} can't be used: {error}", "use 'auto'") from error

    def _named(self, name: str, options: DecoderOptions, why: str) -> DecoderChoice:
        return DecoderChoice(name, decoder_registry[name](self._loaded, self._decoding, options), why)


def _of_all(texts: dict[int, str]) -> dict[int, str]:
    """Those of every process, by the numbers of their rows."""
    return {row: text for found in gathered(texts) for row, text in found.items()}
