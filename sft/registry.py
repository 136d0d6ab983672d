"""Named choices: a registry maps the name that a config gives to the thing that does it."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import TypeVar

from sft.errors import SftError

T = TypeVar("T")
_SHOWN_AT_MOST = 30


class Registry(MutableMapping[str, T]):
    """A mapping of names to entries that refuses duplicates and answers an unknown name with the known ones.

    Entries are added by decorator (`@registry.register("x")`) or by assignment (`registry["x"] = entry`).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        def add(entry: T) -> T:
            self[name] = entry
            return entry

        return add

    def __setitem__(self, name: str, entry: T) -> None:
        if name in self._entries and self._entries[name] is not entry:
            raise SftError(
                f"there is already a {self.kind} named {name!r}", f"choose another name, or `del` the {self.kind} first"
            )
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise SftError(f"unknown {self.kind} {name!r}", unknown_name_fix(name, self._entries))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def unknown_name_fix(name: str, known: Iterable[str]) -> str:
    """What to tell someone who wrote `name`: the nearest known name if one is near, else all, or the likest of many."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if len(known) > _SHOWN_AT_MOST:
        likest = difflib.get_close_matches(name, known, n=10, cutoff=0.0)
        return f"{len(known)} are known, among them {', '.join(sorted(likest))}"
    return f"known: {', '.join(known)}" if known else "none is known"


def import_submodules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that a new file with one decorator is registered by being there."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
