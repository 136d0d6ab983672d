"""Code of users that registers something: installed packages' entry points, and modules named on the command line.

A package declares `[project.entry-points."sft.plugins"] anything = "my_package.my_module"`; the module is imported,
so that its decorators run, and nothing else is done. `--import my_module` does the same for a module in the working
directory or on `PYTHONPATH`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from sft.errors import SftError

GROUP = "sft.plugins"

_imported: list[str] = []


def import_modules(names: Sequence[str]) -> None:
    """Import each module by its dotted name. Raises `SftError` naming the module and why it can't be imported."""
    if names and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # the console script's path lacks it
    for name in names:
        _import(name, f"--import {name}", "name a module that Python finds from here, without .py")
        if name not in _imported:
            _imported.append(name)


def imported_modules() -> list[str]:
    """The modules that `import_modules` was asked for: what other processes of a sweep need too."""
    return list(_imported)


@cache
def load_entry_points() -> None:
    """Import what installed packages declare under `sft.plugins`, once a process."""
    for point in entry_points(group=GROUP):
        _import(point.module, f"the plug-in {point.name!r} ({point.value})", "mend or uninstall the package")


def _import(module: str, what: str, fix: str) -> None:
    try:
        importlib.import_module(module)
    except SftError as error:
        raise SftError(f"{what}: {error.message}", error.hint) from error
    except Exception as error:  # whatever a user's module raises at import
        raise SftError(f"{what} can't be imported: {type(error).__name__}: {error}", fix) from error
