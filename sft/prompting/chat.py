"""The chat format: the tokenizer's own template around our messages.

System = instruction, one user/assistant turn per in-context example, the user turn, the answer. The template is
rendered once per number of turns with a slot in place of every content; contents are filled in afterwards. So the place
of every content is known by construction, and no content can make the template behave differently.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import TemplateError

from sft.errors import PromptError
from sft.prompting.encoder import Piece, TextEncoder
from sft.prompting.format import Demonstration, column_lines

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SLOT = re.compile("\U0010fffa(\\w+)\U0010fffb")
_SYSTEM, _ANSWER = "system", "answer"
_FIXED_DATE = datetime.datetime(2024, 7, 26)
_DATE_CODES = "aAbBcdHIjmMpSUwWxXyY"


class ChatFormat:
    """Prompts in a model's chat template.

    Templates that refuse or drop a system message get the instruction in the first user turn. What follows the last
    user turn is the template's generation prompt, unless that opens something a finished answer doesn't hold (an
    unclosed `<think>`): then it is what the template writes before a finished answer. White space that the template
    writes between the two belongs to the answer. Dates in templates are pinned (`template_args.date_string`), so that a
    prompt is the same tomorrow.
    """

    name: Literal["chat", "plain"] = "chat"
    separator: str | None = None

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        encoder: TextEncoder,
        instruction: str,
        template_args: Mapping[str, Any],
    ) -> None:
        self._tokenizer = tokenizer
        self._instruction = instruction
        self._template_args = template_args
        self._template = _with_fixed_date(tokenizer.get_chat_template())
        self._skeletons: dict[tuple[int, bool], list[str]] = {}
        self._system_role = bool(instruction) and self._takes_system_role()
        self._header, self._answer_prefix, end = self._around_the_answer()
        self.prefix_ids: list[int] = []
        self.eot_id = _end_of_turn(tokenizer, encoder, end)

    def prompt(self, demonstrations: Sequence[Demonstration], query: Mapping[str, str]) -> list[Piece]:
        contents = {_SYSTEM: self._instruction}
        for i, demonstration in enumerate(demonstrations):
            contents[f"user{i}"] = _content(demonstration.inputs)
            contents[f"assistant{i}"] = demonstration.answer.strip()
        contents[f"user{len(demonstrations)}"] = _content(query)
        if self._instruction and not self._system_role:
            contents["user0"] = f"{self._instruction}\n\n{contents['user0']}"
        return _filled(self._skeleton(len(demonstrations), self._system_role), contents)

    def alone(self, text: str) -> list[Piece]:
        """The text as the only user turn."""
        return _filled(self._skeleton(0, system_role=False), {"user0": text})

    def answer(self, text: str) -> str:
        return self._answer_prefix + text.strip()

    def _skeleton(self, n_demonstrations: int, system_role: bool) -> list[str]:
        """The rendered prompt split at its slots; ends with what precedes the answer."""
        key = (n_demonstrations, system_role)
        if key not in self._skeletons:
            messages = self._messages(n_demonstrations, system_role)
            parts = _SLOT.split(self._render(messages, add_generation_prompt=True))
            expected = sorted(_SLOT.findall("".join(message["content"] for message in messages)))
            if sorted(parts[1::2]) != expected or parts[-2] != f"user{n_demonstrations}":
                raise PromptError(
                    "the chat template drops, repeats or reorders messages, so prompts can't be built from it",
                    'borrow another template with model.chat_template_from, or set prompting.format to "plain"',
                )
            self._skeletons[key] = [*parts[:-1], self._header]
        return self._skeletons[key]

    def _takes_system_role(self) -> bool:
        try:
            text = self._render(self._messages(0, system_role=True), add_generation_prompt=True)
        except PromptError:
            return False
        return _slot(_SYSTEM) in text

    def _around_the_answer(self) -> tuple[str, str, str]:
        """What stands before an answer in the prompt, what white space starts the answer, and what follows it."""
        messages = self._messages(0, self._system_role)
        opened = self._render(messages, add_generation_prompt=True).partition(_slot("user0"))[2]
        messages.append({"role": "assistant", "content": _slot(_ANSWER)})
        finished = self._render(messages, add_generation_prompt=False).partition(_slot("user0"))[2]
        header, slot, end = finished.partition(_slot(_ANSWER))
        if not slot:
            raise PromptError(
                "the chat template doesn't show the assistant's answer",
                'borrow another template with model.chat_template_from, or set prompting.format to "plain"',
            )
        if not header.startswith(opened):
            return header.rstrip(" "), header[len(header.rstrip(" ")) :], end
        between = header[len(opened) :]
        return opened, "" if between.strip() else between, end

    def _messages(self, n_demonstrations: int, system_role: bool) -> list[dict[str, str]]:
        messages = [{"role": "system", "content": _slot(_SYSTEM)}] if system_role else []
        for i in range(n_demonstrations):
            messages.append({"role": "user", "content": _slot(f"user{i}")})
            messages.append({"role": "assistant", "content": _slot(f"assistant{i}")})
        messages.append({"role": "user", "content": _slot(f"user{n_demonstrations}")})
        return messages

    def _render(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                messages,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **self._template_args,
            )
        except (TemplateError, TypeError, ValueError) as error:  # a template can stumble over what it doesn't expect
            raise PromptError(
                f"the chat template refuses the messages of this task: {error}",
                'borrow another template with model.chat_template_from, or set prompting.format to "plain"',
            ) from error
        assert isinstance(text, str)
        return text


def _with_fixed_date(template: str) -> str:
    """A template whose `strftime_now` always tells the same day. As a macro, because transformers passes templates no
    functions.
    """
    if "strftime_now" not in template:
        return template
    codes = "".join(f"|replace('%{code}', '{_FIXED_DATE.strftime('%' + code)}')" for code in _DATE_CODES)
    # The line end is the one that Jinja removes after a block.
    return f"{{% macro strftime_now(format) %}}{{{{ format{codes} }}}}{{% endmacro %}}\n{template}"


def _filled(skeleton: Sequence[str], contents: Mapping[str, str]) -> list[Piece]:
    # re.split with one group alternates: scaffolding, slot, scaffolding, …
    return [Piece(contents[part], True) if i % 2 else Piece(part, False) for i, part in enumerate(skeleton) if part]


def _content(inputs: Mapping[str, str]) -> str:
    """One column stands alone; several are shown as `Column: value` lines."""
    return next(iter(inputs.values())) if len(inputs) == 1 else column_lines(inputs)


def _slot(name: str) -> str:
    return f"\U0010fffa{name}\U0010fffb"


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, encoder: TextEncoder, end: str) -> int:
    """The first special token that the template puts after an answer; the tokenizer's EOS where it puts none."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for token in encoder.encode([Piece(end, is_data=False)]):
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise PromptError(
            "neither the chat template nor the tokenizer names a token that ends an answer",
            "borrow a template with model.chat_template_from",
        )
    return int(tokenizer.eos_token_id)
