"""The adapter methods of the installed PEFT and their arguments, read from its source without importing it.

Every method is a folder of `peft/tuners` that registers itself under a name with the class of its configuration.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sft.config.dataclass_source import field_names
from sft.errors import MissingPackageError, SftError


class _Class(NamedTuple):
    """A class, and the file that defines it."""

    node: ast.ClassDef
    file: Path


@cache
def peft_methods() -> dict[str, str]:
    """Name of a method (`lora`, `ia3`, …) → name of its configuration class."""
    return {name: found[1] for name, found in _registrations().items()}


@cache
def peft_arguments(method: str) -> frozenset[str]:
    """Fields of the method's configuration class, those of its base classes included."""
    file, name = _registrations()[method]
    found = _find_class(name, file)
    if found is None:
        raise SftError(f"can't find the arguments of {method!r} in the source of the installed peft")
    return _fields(found)


@cache
def _registrations() -> dict[str, tuple[Path, str]]:
    """Name of a method → the file that registers it, and the class named there."""
    found = {}
    for file in sorted((_peft() / "tuners").glob("*/__init__.py")):
        for node in ast.walk(_parse(file)):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "register_peft_method"):
                continue
            keywords = {k.arg: k.value for k in node.keywords}
            name, config = keywords.get("name"), keywords.get("config_cls")
            if isinstance(name, ast.Constant) and isinstance(config, ast.Name):
                found[str(name.value)] = (file, config.id)
    return found


def _fields(cls: _Class) -> frozenset[str]:
    bases = [_find_class(base.id, cls.file) for base in cls.node.bases if isinstance(base, ast.Name)]
    return field_names(cls.node).union(*(_fields(base) for base in bases if base is not None))


def _find_class(name: str, file: Path) -> _Class | None:
    """The class that `name` means in a file of PEFT; None for one from elsewhere."""
    for node in ast.walk(_parse(file)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _Class(node, file)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    source = _imported_file(node, alias.name, file)
                    return None if source is None else _find_class(alias.name, source)
    return None


def _imported_file(node: ast.ImportFrom, name: str, file: Path) -> Path | None:
    parts = (node.module or "").split(".") if node.module else []
    if node.level:
        folder = file.parents[node.level - 1]
    elif parts[:1] == ["peft"]:
        folder, parts = _peft(), parts[1:]
    else:
        return None
    path = folder.joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _peft() -> Path:
    spec = importlib.util.find_spec("peft")
    if spec is None or spec.origin is None:
        raise MissingPackageError("peft", "this config", "pip install peft")
    return Path(spec.origin).parent


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
