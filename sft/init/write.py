"""Values of a config → the text of a file: JSONNET with a comment beside each value, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sft.init.draft import Entry, nested

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_KEYWORDS = {
    "assert", "else", "error", "false", "for", "function", "if", "import", "importstr", "importbin", "in", "local",
    "null", "tailstrict", "then", "self", "super", "true",
}  # fmt: skip
_WIDTH = 100


def json_text(entries: Sequence[Entry]) -> str:
    return json.dumps(nested(entries), indent=2, ensure_ascii=False) + "\n"


def jsonnet_text(entries: Sequence[Entry], head: Sequence[str]) -> str:
    """head: lines of the comment at the top."""
    return _comment(head) + _object(nested(entries), _reasons(entries)) + "\n"


def sweep_text(
    shared: Sequence[Entry], methods: Mapping[str, Sequence[Entry]], seeds: Sequence[int], head: Sequence[str]
) -> str:
    """A sweep over methods × seeds: every config is what all share, with what its method adds.

    A method that neither trains nor shows examples gives the same with every seed, and has one.
    """
    once = [name for name, entries in methods.items() if not _draws(nested([*shared, *entries]))]
    parts = ",\n".join(
        f"  {_key(name)}: {_object(nested(entries), _reasons(entries), '  ', adds=True)}"
        for name, entries in methods.items()
    )
    shared = [each for each in shared if each.key != ("seed",)]
    return (
        f"{_comment(head)}local shared = {_object(nested(shared), _reasons(shared))};\n\n"
        "// what each method adds: `section+:` keeps the other keys of the section\n"
        f"local methods = {{\n{parts},\n}};\n\n"
        f"local seeds = {_value(list(seeds))};\n\n"
        '{\n  configs: {\n    ["%s seed=%d" % [method, seed]]: shared + methods[method] + { seed: seed }\n'
        f"    for method in std.objectFields(methods)\n    for seed in seeds\n"
        "    // where nothing is drawn or trained, all seeds are the same run\n"
        f"    if seed == seeds[0] || !std.member({_value(once)}, method)\n  }},\n}}\n"
    )


def _draws(value: Mapping[str, Any]) -> bool:
    """Whether rows are drawn for training or for prompts."""
    return value["dataset"].get("shots") != 0 or bool(value.get("inference", {}).get("icl_examples"))


def _reasons(entries: Sequence[Entry]) -> dict[tuple[str, ...], str]:
    """Of every value, so that the keys tell sections from values; empty where there is nothing to say."""
    return {each.key: each.why for each in entries}


def _object(
    value: Mapping[str, Any],
    reasons: Mapping[tuple[str, ...], str],
    indent: str = "",
    at: tuple[str, ...] = (),
    *,
    adds: bool = False,
) -> str:
    """adds: whether objects in it are added to those of another object."""
    lines = ["{"]
    for name, item in value.items():
        place = (*at, name)
        if reasons.get(place):
            lines.append(f"{indent}  // {_one_line(reasons[place])}")
        inside = any(key[: len(place)] == place and key != place for key in reasons)
        text = _object(item, reasons, f"{indent}  ", place, adds=adds) if inside else _value(item, f"{indent}  ")
        lines.append(f"{indent}  {_key(name)}{'+' if adds and inside else ''}: {text},")
    return "\n".join([*lines, f"{indent}}}"])


def _value(value: Any, indent: str = "") -> str:
    """One line where it fits, else a line for each key."""
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    items = [f"{_key(str(name))}: {_value(item, f'{indent}  ')}" for name, item in value.items()]
    line = f"{{ {', '.join(items)} }}"
    if len(line) + len(indent) <= _WIDTH:
        return line
    return "\n".join(["{", *(f"{indent}  {item}," for item in items), f"{indent}}}"])


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) and name not in _KEYWORDS else json.dumps(name, ensure_ascii=False)


def _comment(lines: Sequence[str]) -> str:
    return "".join(f"// {_one_line(line)}\n" for line in lines)


def _one_line(text: str) -> str:
    """A label or a column's name may hold line ends, at which a comment would end."""
    return " ".join(text.split())
