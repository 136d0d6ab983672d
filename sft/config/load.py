"""Files → configs: read JSON or JSONNET, apply overrides, validate, and report everything wrong in one message."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from sft.config.checks import check_config, check_sections
from sft.config.partial import without_problems
from sft.config.problems import problems_of
from sft.config.renames import rename_old_keys
from sft.config.schema import ExperimentConfig
from sft.errors import ConfigError, Problem, SftError

ExtraCheck = Callable[[ExperimentConfig], list[Problem]]

STANDARD_INPUT = "-"
_SWEEP_FORMS = 'a sweep is a list of configs or {"configs": {name: config}}'


class NamedConfig(NamedTuple):
    name: str
    config: ExperimentConfig


def load_config(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    endpoint: str | None = None,
    extra_checks: Sequence[ExtraCheck] = (),
) -> ExperimentConfig:
    """The one config that a file holds.

    overrides: `section.key=value`, value in JSON or plain text. seed: replaces the config's. endpoint: the command that
    will use it, which decides the sections that must be there. Raises `ConfigError` naming every problem.
    """
    value, path = _override(read_value(path), overrides, seed), _named(path)
    if isinstance(value, list) or (isinstance(value, dict) and set(value) == {"configs"}):
        raise SftError(f"{path} holds several configs", "use `run-experiments`, or give a file with one config")
    return config_from_value(value, path, endpoint=endpoint, extra_checks=extra_checks)


def load_configs(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    endpoint: str | None = "run-experiments",
    extra_checks: Sequence[ExtraCheck] = (),
) -> list[NamedConfig]:
    """The configs of a sweep: a file that evaluates to a list, to `{"configs": {name: config}}`, or to one config."""
    found: list[NamedConfig] = []
    problems: dict[Problem, list[str]] = {}
    read, path = read_value(path), _named(path)
    values = _named_values(read, path)
    for name, value in values.items():
        try:
            resolved = _override(value, overrides, seed)
            config = config_from_value(resolved, path, endpoint=endpoint, extra_checks=extra_checks)
            found.append(NamedConfig(name, config))
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(name)
    if problems:
        raise ConfigError(path, [_in_configs(p, names, len(values)) for p, names in problems.items()])
    return found


def config_from_value(
    value: Any, source: str, *, endpoint: str | None = None, extra_checks: Sequence[ExtraCheck] = ()
) -> ExperimentConfig:
    """Validate a config given as plain values (what JSON holds); `source` names it in errors."""
    if not isinstance(value, dict):
        raise ConfigError(source, [Problem("", f"a config is a JSON object, got {_kind(value)}")])
    value = rename_old_keys(value)
    problems = check_sections(value, endpoint)
    config: ExperimentConfig | None
    try:
        config = ExperimentConfig.model_validate(value)
    except ValidationError as error:
        found = problems_of(error, value)
        problems += [p for p in found if p.key not in {known.key for known in problems}]
        config = without_problems(value, [problem.key for problem in found])
    if config is not None:
        problems += check_config(config)
        for check in extra_checks:
            problems += check(config)
    if problems or config is None:
        raise ConfigError(source, problems)
    return config


def read_value(path: str | Path) -> Any:
    """What a .json or .jsonnet file evaluates to; `-`: the standard input, which may be either.

    Raises `SftError` with the place of a syntax error.
    """
    if str(path) == STANDARD_INPUT:
        return _read_standard_input()
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SftError(f"no such config: {path}", "give the path of a .json or .jsonnet file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SftError(f"can't read the config {path}: {error}") from error
    return _evaluate_jsonnet(path, text) if path.suffix in (".jsonnet", ".libsonnet") else _parse_json(path, text)


def _named(path: str | Path) -> str:
    """What messages call a config."""
    return "the standard input" if str(path) == STANDARD_INPUT else str(path)


def _read_standard_input() -> Any:
    """Imports of JSONNET are relative to the working directory."""
    import _jsonnet

    name = _named(STANDARD_INPUT)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SftError(f"can't read the config from {name}: {error}", "give UTF-8") from None
    if not text.strip():
        raise SftError(f"the config is read from {name}, which is empty", "pipe one in, or give a file")
    try:
        return json.loads(_jsonnet.evaluate_snippet(name, text))
    except RuntimeError as error:
        raise SftError(f"{name}: invalid JSON or JSONNET: {str(error).strip()}") from None


def _parse_json(path: Path, text: str) -> Any:
    def refuse_constant(name: str) -> None:
        raise SftError(f"{path}: {name} is not JSON", "write a number or null")

    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise SftError(f"{path}: the key {twice!r} is given twice in one object", "keep one of them")
        return seen

    try:
        return json.loads(text, object_pairs_hook=refuse_duplicates, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise SftError(
            f"{path}:{error.lineno}:{error.colno}: invalid JSON: {error.msg}",
            "mend the syntax; comments and trailing commas need the ending .jsonnet",
        ) from None


def json_object(text: str, option: str) -> dict[str, Any]:
    """The object that an option of the command line gives as JSON."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SftError(
            f"{option} {text!r} is no JSON: {error.msg}", """write e.g. '{"space": "probability"}'"""
        ) from None
    if not isinstance(value, dict):
        raise SftError(f"{option} {text!r} is {_kind(value)}", """write an object, e.g. '{"space": "probability"}'""")
    return value


def _evaluate_jsonnet(path: Path, text: str) -> Any:
    import _jsonnet

    try:
        return json.loads(_jsonnet.evaluate_file(str(path)))
    except RuntimeError as error:
        raise SftError(f"{path}: invalid JSONNET: {str(error).strip()}") from None


def _override(value: Any, overrides: Sequence[str], seed: int | None) -> Any:
    if not isinstance(value, dict):
        return value
    value = copy.deepcopy(value)
    for override in overrides:
        _apply_override(value, override)
    if seed is not None:
        value["seed"] = seed
    return value


def _apply_override(value: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in place; missing objects on the way are made, null ones too."""
    key, equals, text = override.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last or not all(parents):
        raise SftError(f"--override {override!r} is not of the form section.key=value", "e.g. -o dataset.shots=8")
    for i, part in enumerate(parents):
        if value.get(part) is None:
            value[part] = {}
        if not isinstance(value[part], dict):
            place = ".".join(parents[: i + 1])
            raise SftError(f"--override {override!r}: {place} is not an object but {_kind(value[part])}")
        value = value[part]
    value[last] = _json_or_text(text)


def _json_or_text(text: str) -> Any:
    """The value of an override. NaN and Infinity, which Python would read as numbers, are not JSON."""

    def refuse_constant(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(text, parse_constant=refuse_constant)
    except ValueError:
        return text


def _named_values(value: Any, path: str) -> Mapping[str, Any]:
    if isinstance(value, list):
        named = {str(number): item for number, item in enumerate(value, start=1)}
    elif isinstance(value, dict) and "configs" in value:
        beside = sorted(set(value) - {"configs"})
        if beside:
            raise SftError(f"{path}: beside 'configs' there is {', '.join(map(repr, beside))}", _SWEEP_FORMS)
        if not isinstance(value["configs"], dict):
            raise SftError(f"{path}: 'configs' must be an object, got {_kind(value['configs'])}", _SWEEP_FORMS)
        named = value["configs"]
    else:
        named = {"1": value}
    if not named:
        raise SftError(f"{path} holds no config", _SWEEP_FORMS)
    return named


def _in_configs(problem: Problem, names: list[str], total: int) -> Problem:
    if total == 1:
        return problem
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return problem._replace(message=f"{problem.message} [in {len(names)} of {total} configs: {shown}]")


def named_arguments(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """NAME=VALUE, value in JSON or plain text, as a dict. option: what gave them, for error messages."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, equals, _) in zip(pairs, split, strict=True):
        if not name or not equals:
            raise SftError(f"{option} {pair!r} is not of the form NAME=VALUE", f"e.g. {option} name=sentiment")
    return {name: _json_or_text(text) for name, _, text in split}


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true/false", type(None): "null"}
    return kinds.get(type(value), "a number")
