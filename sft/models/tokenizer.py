"""The tokenizer of a run: its own or a borrowed chat template, and a padding token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from sft.config.schema import ModelConfig
from sft.errors import ModelError
from sft.locations import local_path
from sft.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEMPLATE_TOKEN = re.compile(r"<[|｜][^<>|｜\s]+[|｜]>|<(?:start|end)_of_turn>")
_SAMPLE = [
    {"role": "user", "content": "question"},
    {"role": "assistant", "content": "answer"},
    {"role": "user", "content": "question"},
]


def load_tokenizer(config: ModelConfig, source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer; an adapter folder's own (it holds the template that it was trained with) comes first."""
    has_own = source.adapter is not None and (source.adapter / "tokenizer_config.json").exists()
    tokenizer = _from_pretrained(str(source.adapter) if has_own else source.base, config)
    if config.chat_template_from is not None:
        tokenizer.chat_template = _borrowed_template(config, tokenizer)
    if tokenizer.pad_token is None:
        # Padding is masked everywhere, so any token serves; EOS exists almost everywhere.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise ModelError(f"the tokenizer {source.base!r} has no token to pad with", "use one that has an EOS token")
    return tokenizer


def whereabouts(config: ModelConfig) -> dict[str, Any]:
    """The arguments of `model.model_args` that say where files are and how far they are trusted."""
    keep = ("trust_remote_code", "revision", "token", "cache_dir", "subfolder", "local_files_only")
    return {key: value for key, value in config.model_args.items() if key in keep}


def _from_pretrained(name: str, config: ModelConfig) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name, **whereabouts(config))
    except Exception as error:  # a tokenizer's files can be wrong in as many ways as there are tokenizers
        raise ModelError(
            f"can't load the tokenizer {name!r}: {type(error).__name__}: {error}",
            "check model.name; offline, only local folders and cached hub models work",
        ) from error


def _borrowed_template(config: ModelConfig, tokenizer: Any) -> str:
    """The chat template of `model.chat_template_from`, if this tokenizer has the special tokens that it writes."""
    name = config.chat_template_from
    assert name is not None
    path = local_path(name, "model.chat_template_from")
    if path is not None and path.is_file():
        template, known = path.read_text(encoding="utf-8"), set[str]()
    else:
        lender = _from_pretrained(name, config)
        if not lender.chat_template:
            raise ModelError(f"model.chat_template_from {name!r} has no chat template", "choose one that has")
        template, known = lender.chat_template, set(lender.get_added_vocab())
    try:
        text = tokenizer.apply_chat_template(
            _SAMPLE, chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise ModelError(
            f"model.chat_template_from: the chat template of {name!r} can't be rendered: {error}", "mend it"
        ) from error
    written = {token for token in known if token in text} | set(_TEMPLATE_TOKEN.findall(text))
    missing = sorted(written - set(tokenizer.get_vocab()))
    if missing:
        raise ModelError(
            f"the chat template of {name!r} writes {', '.join(missing)}, which the tokenizer of {config.name!r} "
            "doesn't have as tokens",
            "borrow a template whose special tokens exist in this vocabulary",
        )
    return template
