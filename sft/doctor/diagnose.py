"""All checks of one config."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sft.config.schema import ExperimentConfig
from sft.doctor.case import Case, Setting, Shared
from sft.doctor.checks import Check, check_registry
from sft.doctor.finding import LEVELS, Finding, Level, of_error, skipped, warn
from sft.doctor.part import UnavailableError
from sft.errors import SftError
from sft.progress import hush_libraries

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Diagnosis:
    """findings: the worst first."""

    findings: Sequence[Finding]

    @property
    def worst(self) -> Level:
        """The worst level that there is but `skipped`, which says nothing of the run."""
        return next((each.level for each in self.findings if each.level in ("error", "warn")), "ok")

    def of(self, check: str) -> list[Finding]:
        """What one check found."""
        return [each for each in self.findings if each.check == check]

    def as_dict(self) -> dict[str, Any]:
        """For JSON (docs/doctor.md)."""
        return {"worst": self.worst, "findings": [each.as_dict() for each in self.findings]}


def diagnose(config: ExperimentConfig, setting: Setting | None = None, *, shared: Shared | None = None) -> Diagnosis:
    """What a run with this config would do, without training and without weights.

    shared: what is read once for several configs. Raises nothing for whatever is wrong with the run: that is found.
    """
    hush_libraries()
    case = Case(config, setting or Setting(), shared or Shared())
    told: set[str] = set()
    findings = [found for name, check in check_registry.items() for found in _run(name, check, case, told)]
    return Diagnosis(sorted(findings, key=lambda each: LEVELS.index(each.level)))


def _run(name: str, check: Check, case: Case, told: set[str]) -> list[Finding]:
    """told: what can't be had, and was told of already."""
    findings: list[Finding] = []
    try:
        findings += (replace(each, check=name) for each in check(case))
    except UnavailableError as gone:
        if str(gone) not in told:
            told.add(str(gone))
            findings.append(replace(of_error(gone.cause), check=gone.check))
        if gone.check != name:
            findings.append(replace(skipped(f"not looked at, because of what {gone.check!r} found"), check=name))
    except SftError as problem:
        findings.append(replace(of_error(problem), check=name))
    except Exception as failure:  # a library may fail in any way on what it doesn't know; the other checks go on
        logger.debug("the check %r failed", name, exc_info=True)
        what = f"the check failed, and says nothing of the run: {type(failure).__name__}: {failure}".split("\n")[0]
        findings.append(replace(warn(what, "look at this by yourself"), check=name))
    return findings
