"""Long scoring is kept in parts, and goes on from them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.inference import label_scorer
from sft.inference.label_scorer import LabelScorer
from sft.inference.shards import ShardFolder, key_of, parts
from tests.label_scoring import brute_force, prompts_of
from tests.tiny_models import tiny_loaded

LENGTHS = [3, 9, 20, 4, 7, 12, 5, 16]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 60))
def test_parts_follow_one_another_and_are_as_large_as_the_limit_allows(sizes: list[int], limit: int) -> None:
    found = list(parts(sizes, limit))
    assert [i for part in found for i in range(len(sizes))[part]] == list(range(len(sizes)))
    for part, after in pairwise(found):
        inside = sizes[part]
        assert len(inside) == 1 or sum(inside) <= limit or sum(inside[:-1]) == 0
        assert sum(inside) + sizes[after.start] > limit


def test_a_part_is_found_again_by_its_key_alone(tmp_path: Path) -> None:
    folder, values = ShardFolder(tmp_path / "answers"), np.array([[0.5, -np.inf], [1.0, 2.0]])
    assert folder.get("a") is None
    folder.put("a", values)
    again = ShardFolder(tmp_path / "answers").get("a")
    assert again is not None
    np.testing.assert_array_equal(again, values)
    assert folder.get("b") is None
    assert [path.name for path in (tmp_path / "answers").iterdir()] == ["a.npy"]


def test_keys_tell_apart_what_is_in_a_part() -> None:
    keys = [key_of(b"ab", b"c"), key_of(b"a", b"bc"), key_of(b"ab", (1, 2)), key_of(b"ab", (12,)), key_of(b"ab")]
    assert len(set(keys)) == len(keys)
    assert key_of(b"ab", (1, 2)) == keys[2]


def test_scores_in_parts_are_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_scorer, "_TOKENS_IN_SHARD", 25)
    loaded = tiny_loaded()
    prompts = [*prompts_of(LENGTHS), *prompts_of([2, 6], prefix=30)]
    found = LabelScorer(loaded, shards=ShardFolder(tmp_path)).score(prompts, None).log_probs
    assert len(list(tmp_path.iterdir())) > 2
    np.testing.assert_allclose(found, brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0)


def test_what_is_there_is_not_scored_again_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: an interrupted run has the batches of an undisturbed one."""
    monkeypatch.setattr(label_scorer, "_TOKENS_IN_SHARD", 25)
    loaded, prompts = tiny_loaded(), prompts_of(LENGTHS)
    first = LabelScorer(loaded, engine="tree", shards=ShardFolder(tmp_path)).score(prompts, None).log_probs
    lost = sorted(tmp_path.iterdir())[0]
    lost.unlink()
    scored: list[int] = []
    scorer = LabelScorer(loaded, engine="tree", shards=ShardFolder(tmp_path))
    engine = scorer._engine("tree")
    monkeypatch.setattr(type(engine), "__call__", _counting(type(engine).__call__, scored))
    second = scorer.score(prompts, None).log_probs
    assert 0 < sum(scored) < len(prompts)
    assert lost.exists()
    np.testing.assert_array_equal(first, second)


def _counting(original: Any, scored: list[int]) -> Any:
    def call(self: Any, rows: Any, waiting: int = 0) -> Any:
        scored.append(len(rows))
        return original(self, rows, waiting)

    return call


def test_other_labels_or_another_end_are_other_parts(tmp_path: Path) -> None:
    loaded, prompts = tiny_loaded(), prompts_of([3, 4])
    scorer = LabelScorer(loaded, shards=ShardFolder(tmp_path))
    without, with_end = scorer.score(prompts, None).log_probs, scorer.score(prompts, 1).log_probs
    assert len(list(tmp_path.iterdir())) == 2
    assert not np.allclose(without, with_end)
