"""The names of arguments that a config passes through to other libraries, read from their source without importing it.

Importing TRL or transformers takes seconds, and a typo in `trainer_args` should be found before that. The libraries'
classes are plain Python files, so their fields are read with `ast`. Values are checked by the libraries when a run
starts.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sft.config.dataclass_source import field_names
from sft.errors import MissingPackageError


class ClassSource(NamedTuple):
    """Where a class is defined: a package and a file inside it."""

    package: str
    file: str
    name: str


_SFT = (
    ClassSource("trl", "trainer/sft_config.py", "SFTConfig"),
    ClassSource("trl", "trainer/base_config.py", "_BaseConfig"),
    ClassSource("transformers", "training_args.py", "TrainingArguments"),
)
_QUANTIZATION_FILE = ("transformers", "utils/quantization_config.py")
_GENERATION_FILE = ("transformers", "generation/configuration_utils.py")


@cache
def lora_initializations() -> frozenset[str]:
    """The names that the installed PEFT's `init_lora_weights` is declared to take."""
    fields = {
        ast.unparse(n.target): n
        for n in _class("peft", "tuners/lora/config.py", "LoraConfig").body
        if isinstance(n, ast.AnnAssign)
    }
    parts = ast.walk(fields["init_lora_weights"].annotation)
    return frozenset(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


@cache
def trainer_arguments() -> frozenset[str]:
    """Fields of the installed TRL's `SFTConfig`, those inherited from transformers included."""
    return _dataclass_fields(_SFT)


@cache
def generation_arguments() -> frozenset[str]:
    """Keyword arguments that the installed transformers' `GenerationConfig` knows."""
    init = _method(_class(*_GENERATION_FILE, "GenerationConfig"), "__init__")
    return frozenset(_popped_keys(init))


@cache
def quantization_classes() -> dict[str, frozenset[str]]:
    """Quantization configs of the installed transformers → their arguments."""
    classes = {node.name: node for node in _parse(*_QUANTIZATION_FILE).body if isinstance(node, ast.ClassDef)}
    return {
        name: _init_arguments(node, classes)
        for name, node in classes.items()
        if _descends_from(node, "QuantizationConfigMixin", classes)
    }


def _init_arguments(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> frozenset[str]:
    """Arguments of a class's `__init__`, and of its bases' where it hands `**kwargs` on or has none of its own."""
    names: set[str] = set()
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    if init is not None:
        names.update(argument.arg for argument in (*init.args.args[1:], *init.args.kwonlyargs))
        names.update(_popped_keys(init))
    if init is None or init.args.kwarg is not None:
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        names.update(*(_init_arguments(classes[base], classes) for base in bases if base in classes))
    return frozenset(names) - {"quant_method"}


def _dataclass_fields(sources: tuple[ClassSource, ...]) -> frozenset[str]:
    return frozenset[str]().union(*(field_names(_class(*source)) for source in sources))


def _popped_keys(function: ast.FunctionDef) -> set[str]:
    """The names in `kwargs.pop("name", …)`."""
    keys = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "kwargs.pop":
            key = node.args[0]
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and not key.value.startswith("_"):
                keys.add(key.value)
    return keys


def _descends_from(node: ast.ClassDef, ancestor: str, classes: dict[str, ast.ClassDef]) -> bool:
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return any(
        base == ancestor or (base in classes and _descends_from(classes[base], ancestor, classes)) for base in bases
    )


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef:
    return next(f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == name)


def _class(package: str, file: str, name: str) -> ast.ClassDef:
    return next(node for node in _parse(package, file).body if isinstance(node, ast.ClassDef) and node.name == name)


@cache
def _parse(package: str, file: str) -> ast.Module:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingPackageError(package, "this config", f"pip install {package}")
    return ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))
