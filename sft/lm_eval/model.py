"""The model `sft` of lm-eval: models and adapters as a config describes them, read by the fast scorer and decoder.

Importing this registers it. Log-likelihoods and texts are those of the harness's own `hf`, up to rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lm_eval import utils
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs, resolve_max_length

from sft.config import load
from sft.config.schema import InferenceConfig, ModelConfig
from sft.distributed import refuse_several
from sft.errors import ConfigError, Problem, SftError
from sft.inference.batching import BatchSize
from sft.inference.generation.generator import Generator
from sft.inference.label_scorer import LabelScorer
from sft.lm_eval.encoding import HarnessEncoding
from sft.lm_eval.likelihoods import Request, likelihoods, log_likelihoods
from sft.models.load import load_model, main_device
from sft.models.source import find_model
from sft.models.tokenizer import load_tokenizer
from sft.plugins import load_entry_points
from sft.progress import hush_libraries
from sft.prompting.plain import PlainFormat

_NEW_TOKENS = 256  # the harness's default


@register_model("sft")
class SftLM(TemplateLM):  # type: ignore[misc]  # the harness's classes are of no type here
    """config: a config file, of which the model and how to infer are used; or pretrained: a model's name, with
    arguments of `model.model_args` beside it. checkpoint: what `train` wrote. batch_size: rows in a batch; 1, the
    harness's default, stands for what the config says. add_bos_token: as for `hf`.
    """

    def __init__(
        self,
        config: str | None = None,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        batch_size: int | str = 1,
        device: str | None = None,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        max_batch_size: int | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__()
        refuse_several("lm-eval with the model 'sft'", "start it without a launcher")
        hush_libraries()
        described = _described(config, pretrained, model_args)
        model = described.model if device is None else _on_device(described.model, device)
        source = find_model(model, checkpoint)
        self._loaded = load_model(model, source, load_tokenizer(model, source))
        self._inference = described.inference
        self._batch_size = _rows(batch_size, described.inference.batch_size)
        self._scorer = LabelScorer(
            self._loaded, self._batch_size, described.inference.scorer, described.inference.compile
        )
        self.tokenizer: Any = self._loaded.tokenizer
        self._encoding = HarnessEncoding(self.tokenizer, add_bos_token)
        whole = max_length or resolve_max_length(self._loaded.base_model.config, self.tokenizer)
        self.max_length = int(whole) - self._loaded.virtual_tokens

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    @property
    def device(self) -> torch.device:
        return self._loaded.device

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        return self._encoding.encode(string, add_special_tokens)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """requests: texts, and the tokens of context and continuation."""
        asked = [self._cut(context, continuation) for _, context, continuation in requests]
        found = [(*one,) for one in likelihoods(self._loaded, self._scorer, asked, self._batch_size)]
        for (texts, _, _), one in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, one)
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts, in windows that don't overlap in what is predicted."""
        windows = [self._windows(request.args[0]) for request in requests]
        found = iter(log_likelihoods(self._scorer, [window for made in windows for window in made]))
        totals = [sum(next(found) for _ in made) for made in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts up to the first stop string; requests with the same arguments are generated together."""
        alike: dict[str, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            alike[repr(sorted(request.args[1].items()))].append(i)
        texts = [""] * len(requests)
        for places in alike.values():
            contexts = [requests[i].args[0] for i in places]
            for i, text in zip(places, self._generate(contexts, requests[places[0]].args[1]), strict=True):
                texts[i] = text
                self.cache_hook.add_partial("generate_until", requests[i].args, text)
        return texts

    def _generate(self, contexts: Sequence[str], given: dict[str, Any]) -> list[str]:
        arguments = dict(normalize_gen_kwargs(given, _NEW_TOKENS))
        limit, stops = int(arguments.pop("max_gen_toks")), arguments.pop("until", None)
        if not arguments.get("do_sample"):
            arguments.pop("temperature", None)
        if stops := [stop for stop in stops or () if stop]:
            arguments["stop_strings"] = stops
        room = self.max_length - limit
        if room < 1:
            raise SftError(
                f"max_gen_toks is {limit}, and the model places {self.max_length} tokens in all", "lower max_gen_toks"
            )
        generator = Generator(
            self._loaded,
            PlainFormat("", "", self.eot_token_id, []),
            arguments,
            max_new_tokens=limit,
            ends_at_separator=False,
            batch_size=self._batch_size,
            decoder=self._inference.decoder,
            strips=False,
        )
        return generator.generate([self.tok_encode(context)[-room:] for context in contexts], seed=0)

    def _windows(self, text: str) -> list[Request]:
        pairs = utils.get_rolling_token_windows(
            self.tok_encode(text), self.prefix_token_id, max_seq_len=self.max_length, context_len=1
        )
        return [Request(*map(tuple, utils.make_disjoint_window(pair))) for pair in pairs]

    def _cut(self, context: Sequence[int], continuation: Sequence[int]) -> Request:
        """The last continuation token is predicted and not read, so there is room for one more than `max_length`."""
        assert 0 < len(continuation) <= self.max_length
        room = self.max_length + 1 - len(continuation)
        return Request(tuple(context[-room:]), tuple(continuation))


class _Described(NamedTuple):
    """Which model, and how to infer."""

    model: ModelConfig
    inference: InferenceConfig


def _described(config: str | None, pretrained: str | None, model_args: dict[str, Any]) -> _Described:
    if (config is None) == (pretrained is None):
        raise SftError(
            "the model 'sft' of lm-eval takes either config or pretrained",
            "e.g. --model_args config=my.json checkpoint=outputs/my-adapter",
        )
    if pretrained is not None:
        return _Described(ModelConfig(name=pretrained, model_args=model_args), InferenceConfig())
    if model_args:
        problems = [Problem(name, "is not known beside config", "write it into the config") for name in model_args]
        raise ConfigError("--model_args", problems)
    assert config is not None
    load_entry_points()
    loaded = load.load_config(Path(config))
    return _Described(loaded.model, loaded.inference_or_default)


def _on_device(model: ModelConfig, device: str) -> ModelConfig:
    """The model where the harness is told to put it, if that isn't where it would go anyway."""
    if device.partition(":")[0] == main_device().type and ":" not in device:
        return model
    return model.model_copy(update={"model_args": {"device_map": {"": device}, **model.model_args}})


def _rows(given: int | str, of_config: BatchSize) -> BatchSize:
    if str(given).startswith("auto") or int(given) == 1:
        return of_config
    return int(given)
