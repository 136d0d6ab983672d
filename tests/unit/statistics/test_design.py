"""Which seeds vary together and which apart."""

from __future__ import annotations

import pytest

from sft.evaluation.statistics.design import Seeds, is_crossed, seed_factors

TOGETHER: list[Seeds] = [{"data": s, "icl": s, "train": s} for s in (3, 1, 2)]
CROSSED: list[Seeds] = [{"data": d, "icl": d, "train": t} for d in (1, 2) for t in (5, 6, 7)]
STAR: list[Seeds] = [{"data": 1, "train": 1}, {"data": 2, "train": 1}, {"data": 1, "train": 2}]
# (runs, names and levels of each factor, whether they are crossed)
DESIGNS = [
    (TOGETHER, [(("data", "icl", "train"), (1, 2, 3))], True),
    (CROSSED, [(("data", "icl"), (1, 2)), (("train",), (5, 6, 7))], True),
    (CROSSED[:-1], [(("data", "icl"), (1, 2)), (("train",), (5, 6, 7))], False),
    (STAR, [(("data",), (1, 2)), (("train",), (1, 2))], False),
    ([{"data": 1}], [], True),
    ([{}], [], True),
    ([], [], True),
]


@pytest.mark.parametrize(("runs", "factors", "crossed"), DESIGNS)
def test_seeds_that_determine_one_another_are_one_factor(
    runs: list[Seeds], factors: list[tuple[tuple[str, ...], tuple[int, ...]]], crossed: bool
) -> None:
    found = seed_factors(runs)
    assert [(factor.names, factor.levels) for factor in found] == factors
    assert is_crossed(found) == crossed
    for factor in found:
        assert [factor.levels[level] for level in factor.of_run] == [run[factor.names[0]] for run in runs]


def test_a_factor_is_called_by_what_varies() -> None:
    assert [factor.source for factor in seed_factors(CROSSED)] == ["subset + order", "initialisation"]


def test_as_many_runs_as_combinations_are_not_crossed_where_one_is_there_twice() -> None:
    runs = [{"data": 1, "train": 1}, {"data": 1, "train": 2}, {"data": 2, "train": 1}, {"data": 2, "train": 1}]
    assert not is_crossed(seed_factors(runs))
