"""Full fine-tuning: the model's own weights are trained, and nothing is added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sft.adapters.base import AdapterMethod, adapter_registry
from sft.errors import Problem, SftError
from sft.registry import unknown_name_fix

_ARGUMENTS = ("train_modules", "keep_dtype")


@adapter_registry.register("full")
class Full(AdapterMethod):
    """args: `train_modules` (all): a regular expression, or a list of them, found in the names of the parameters that
    are trained; `keep_dtype` (false): train 16-bit weights as they are.

    Weights are trained in float32, whatever dtype they were loaded in, and get that dtype back afterwards: the small
    steps of fine-tuning are mostly below the resolution of bfloat16, so that 16-bit weights hardly move.
    """

    changes_base = True

    def __init__(self) -> None:
        self._dtypes: dict[str, Any] = {}

    @classmethod
    def problems(cls, args: Mapping[str, Any]) -> list[Problem]:
        problems = [
            Problem(name, "no argument of the adapter 'full'", unknown_name_fix(name, _ARGUMENTS))
            for name in args
            if name not in _ARGUMENTS
        ]
        if not isinstance(args.get("keep_dtype", False), bool):
            problems.append(Problem("keep_dtype", f"must be true or false, got {args['keep_dtype']!r}"))
        try:
            _patterns(args)
        except (re.error, TypeError) as error:
            problems.append(
                Problem("train_modules", f"no regular expression: {error}", "give a text or a list of them")
            )
        return problems

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        import torch

        if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
            raise SftError(
                "adapter 'full': quantised weights can't be trained",
                "remove model.quantization, or train an adapter such as lora on the quantised model",
            )
        patterns = _patterns(args)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(patterns is None or any(pattern.search(name) for pattern in patterns))
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise SftError(
                f"adapter.args.train_modules: {args['train_modules']!r} is found in no parameter's name",
                f"names are like {next(iter(dict(model.named_parameters())))}",
            )
        if not args.get("keep_dtype", False):
            self._dtypes = {name: p.dtype for name, p in model.named_parameters() if p.dtype != torch.float32}
            for name, parameter in model.named_parameters():
                if name in self._dtypes:
                    parameter.data = parameter.data.float()
        return model

    def after_training(self, model: Any) -> None:
        for name, parameter in model.named_parameters():
            if name in self._dtypes:
                parameter.data = parameter.data.to(self._dtypes[name])


def _patterns(args: Mapping[str, Any]) -> list[re.Pattern[str]] | None:
    given = args.get("train_modules")
    if given is None:
        return None
    return [re.compile(one) for one in ([given] if isinstance(given, str) else list(given))]
