"""Which seeds were varied together and which apart, over the runs of one configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The order in which names are shown; a group of seeds that vary together goes by its first.
SOURCES = {"data": "subset", "icl": "order", "train": "initialisation", "seed": "sampling of texts"}

Seeds = Mapping[str, int]


@dataclass(frozen=True)
class Factor:
    """Seeds that vary together. names: keys of `SOURCES`. levels: the distinct values, ascending, of the first of
    them. of_run: [R] the index into levels of each run.
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]
    of_run: tuple[int, ...]

    @property
    def source(self) -> str:
        """What varies, in words: `subset`, `subset + initialisation`."""
        return " + ".join(SOURCES[name] for name in self.names)


def seed_factors(runs: Sequence[Seeds]) -> list[Factor]:
    """The seeds that differ between runs, each with those that determine it and are determined by it.

    runs: for each run, the seeds that matter to it, by name (the same names in each). None for a single run and for
    runs without seeds.
    """
    factors: dict[tuple[int, ...], Factor] = {}
    names = [name for name in SOURCES if runs and name in runs[0]]
    for name in names:
        values = [run[name] for run in runs]
        if len(set(values)) < 2:
            continue
        levels = tuple(sorted(set(values)))
        pattern = _first_seen(values)
        if pattern in factors:
            factors[pattern] = Factor((*factors[pattern].names, name), *_rest(factors[pattern]))
        else:
            factors[pattern] = Factor((name,), levels, tuple(levels.index(value) for value in values))
    return list(factors.values())


def is_crossed(factors: Sequence[Factor]) -> bool:
    """Whether there is exactly one run for every combination of levels."""
    combinations = 1
    for factor in factors:
        combinations *= len(factor.levels)
    met = set(zip(*(factor.of_run for factor in factors), strict=True))
    runs = len(factors[0].of_run) if factors else 1
    return runs == combinations == max(len(met), 1)


def _first_seen(values: Sequence[int]) -> tuple[int, ...]:
    """Each value's rank by first appearance: the same for seeds that vary together."""
    ranks: dict[int, int] = {}
    return tuple(ranks.setdefault(value, len(ranks)) for value in values)


def _rest(factor: Factor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return factor.levels, factor.of_run
