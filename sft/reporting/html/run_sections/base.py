"""What the page says of a single run, a file for each section.

A section is a function of the run, registered under the name of its template in `templates/sections/`. Sections come in
the order of their `place`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.resampling import JudgedRun
from sft.records import RunRecord
from sft.registry import Registry


class ShownRun(NamedTuple):
    """A finished run. number: of its configuration. judged: None where the run's items can't be read.

    right: [N], which answers are right; None likewise.
    """

    number: int
    folder: Path
    record: RunRecord
    judged: JudgedRun | None
    right: NDArray[np.bool_] | None

    @property
    def name(self) -> str:
        return self.record.name or self.folder.name


class Section(NamedTuple):
    """values: what the section's template shows. wide: whether it takes the page's whole width."""

    title: str
    values: Mapping[str, Any]
    wide: bool = True


class RunSection(NamedTuple):
    """build: a run's section, or in a few words why it has none ("it has no labels")."""

    place: int
    title: str
    build: Callable[[ShownRun], Section | str]


FEW_LABELS = 6
"""So many fit into half of the page's width."""

run_section_registry: Registry[RunSection] = Registry("section of a run")


def run_section(
    name: str, *, place: int, title: str
) -> Callable[[Callable[[ShownRun], Section | str]], Callable[[ShownRun], Section | str]]:
    """Register a section's function. title: what it is called where it is missing."""

    def add(build: Callable[[ShownRun], Section | str]) -> Callable[[ShownRun], Section | str]:
        run_section_registry[name] = RunSection(place, title, build)
        return build

    return add


def probabilities_of(run: ShownRun) -> NDArray[np.float64] | str:
    """[N, L] of the labels, or of each row's candidates; or why there are none."""
    if run.judged is None:
        return "its items can't be read"
    found: NDArray[np.float64] | None = getattr(run.judged.outcome, "probabilities", None)
    return "its answers have no probabilities" if found is None else found
