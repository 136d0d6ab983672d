"""The findings of several configs of a sweep: what is the same of many is said once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from sft.config.load import NamedConfig
from sft.doctor.case import Setting, Shared
from sft.doctor.diagnose import Diagnosis, diagnose
from sft.doctor.finding import LEVELS, Finding
from sft.errors import ConfigError, SftError


class Common(NamedTuple):
    """A finding, and the names of the configs of which it is true."""

    finding: Finding
    configs: list[str]


def diagnose_all(configs: list[NamedConfig], setting: Setting, only: list[str]) -> dict[str, Diagnosis]:
    """By name. only: shell patterns of names; empty for all. Raises `SftError` where none is left."""
    chosen = [each for each in configs if not only or any(fnmatchcase(each.name, pattern) for pattern in only)]
    if not chosen:
        names = ", ".join(each.name for each in configs[:10])
        raise SftError(f"--only {', '.join(only)}: no config has such a name", f"there are: {names}")
    shared = Shared()
    return {each.name: diagnose(each.config, setting, shared=shared) for each in chosen}


def of_config_error(error: ConfigError) -> Diagnosis:
    """The problems of a config that can't be examined any further."""
    return Diagnosis(
        [Finding("error", str(each._replace(fix=None)), each.fix, check="config") for each in error.problems]
    )


def common(diagnoses: Mapping[str, Diagnosis]) -> list[Common]:
    """Each finding once, the worst first. Details are those of the first config."""
    found: dict[str, Common] = {}
    for name, diagnosis in diagnoses.items():
        for finding in diagnosis.findings:
            key = json.dumps([*replace(finding, details={}).as_dict().values()])
            found.setdefault(key, Common(finding, [])).configs.append(name)
    return sorted(found.values(), key=lambda each: LEVELS.index(each.finding.level))


def as_json(diagnoses: Mapping[str, Diagnosis]) -> dict[str, Any]:
    """What `sft doctor --json` prints (docs/doctor.md)."""
    together = Diagnosis([each.finding for each in common(diagnoses)])
    return {"worst": together.worst, "configs": [{"name": k, **each.as_dict()} for k, each in diagnoses.items()]}
