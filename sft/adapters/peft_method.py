"""Any adapter of PEFT, by its name there."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from sft.adapters.base import REFUSALS, AdapterMethod, refused
from sft.errors import SftError

ADAPTER = "default"
_MISSING_MODULES = re.compile(r"specify `(target_modules|feedforward_modules)`")


class PeftMethod(AdapterMethod):
    """args: everything that the method's configuration class in the installed PEFT takes.

    peft_name: `peft.PeftType` in lower case. defaults: arguments that PEFT has no default for, or none that fits.
    """

    peft_name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}

    def wrap(self, model: Any, args: Mapping[str, Any]) -> Any:
        from peft import PeftType, get_peft_model
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        config_class = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(self.peft_name.upper())]
        try:
            with warnings.catch_warnings():
                # Layers that store their weight transposed (GPT-2's) need it, and PEFT sets it itself.
                warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
                config = config_class(**{"task_type": "CAUSAL_LM", **self.defaults, **args})
                return get_peft_model(model, config)
        except REFUSALS as error:
            missing = _MISSING_MODULES.search(str(error))
            if missing is None:
                refused(self.peft_name, error)
            raise SftError(
                f"{self.peft_name}: PEFT doesn't know which layers to adapt of {model.config.model_type} models",
                f"set {missing[1]} in the adapter's args{_EXAMPLE[missing[1]]}",
            ) from error


def peft_method(name: str, **attributes: Any) -> type[PeftMethod]:
    """The class of a method that needs nothing but its name. attributes: those of `AdapterMethod` that differ."""
    return type(name, (PeftMethod,), {"peft_name": name, **attributes})


_EXAMPLE = {
    "target_modules": ', e.g. to "all-linear"',
    "feedforward_modules": ": those of target_modules whose inputs are scaled instead of their outputs; [] for none",
}
