"""Which format a run uses, and what it needs from the tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft.config.schema import PromptingConfig
from sft.errors import PromptError
from sft.prompting.chat import ChatFormat
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat
from sft.prompting.plain import PlainFormat, default_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def choose_format(tokenizer: PreTrainedTokenizerBase, encoder: TextEncoder, prompting: PromptingConfig) -> PromptFormat:
    """Chat where the tokenizer has a template (or the config insists), else plain."""
    has_template = bool(tokenizer.chat_template)
    if prompting.format == "chat" and not has_template:
        raise PromptError(
            f"prompting.format is 'chat' and the tokenizer {tokenizer.name_or_path!r} has no chat template",
            'set model.chat_template_from, or prompting.format to "plain"',
        )
    if prompting.format == "chat" or (prompting.format == "auto" and has_template):
        return ChatFormat(tokenizer, encoder, prompting.instruction, prompting.template_args)
    if tokenizer.eos_token_id is None:
        raise PromptError(
            f"the tokenizer {tokenizer.name_or_path!r} has no EOS token, which ends answers in the plain format",
            "use a tokenizer that has one",
        )
    template = prompting.template or default_template(prompting.input_columns, prompting.output_column or "answer")
    return PlainFormat(prompting.instruction, template, int(tokenizer.eos_token_id), _bos(tokenizer))


def _bos(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that the tokenizer puts before a text of its own accord."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    starts = (i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare)
    return list(full[: next(starts, 0)])
