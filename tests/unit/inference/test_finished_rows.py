"""Texts that are kept as their rows end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.inference.generation.finished_rows import FinishedRows
from tests.tiny_models import tiny_loaded
from tests.unit.inference.test_decoders import PROMPTS, SAMPLE, generator


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "texts.jsonl"
    with FinishedRows(path) as rows:
        rows.put("a", "one\ntwo — \u2028 \ud800")
        rows.put("b", "")
        # Another process sees them at once.
        assert FinishedRows(path).get("a") == "one\ntwo — \u2028 \ud800"
    again = FinishedRows(path)
    assert (again.get("b"), again.get("c")) == ("", None)
    again.remove()
    assert not path.exists()


@pytest.mark.parametrize("torn", [1, 10, 40])
def test_a_line_that_was_cut_off_counts_for_nothing(torn: int, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    with FinishedRows(path) as rows:
        rows.put("a", "x" * 50)
        rows.put("b", "y" * 50)
    path.write_bytes(path.read_bytes()[:-torn])
    with FinishedRows(path) as rows:
        assert (rows.get("a"), rows.get("b")) == ("x" * 50, None)
        rows.put("c", "z")
    assert (FinishedRows(path).get("a"), FinishedRows(path).get("c")) == ("x" * 50, "z")


class Stopped(Exception):
    """Instead of a signal."""


class StoppingRows(FinishedRows):
    """Stops when so many rows have been kept."""

    left = 4

    def put(self, key: str, text: str) -> None:
        super().put(key, text)
        self.left -= 1
        if self.left == 0:
            raise Stopped


@pytest.mark.parametrize("arguments", [{}, SAMPLE], ids=["greedy", "sampling"])
@pytest.mark.parametrize("decoder", ["continuous", "static"])
def test_stopped_generation_goes_on_with_the_rows_that_are_left(
    decoder: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    loaded = tiny_loaded()
    expected = generator(loaded, decoder, **arguments).generate(PROMPTS, 1)
    path = tmp_path / "texts.jsonl"
    with pytest.raises(Stopped), StoppingRows(path) as rows:
        generator(loaded, decoder, **arguments).generate(PROMPTS, 1, finished=rows)
    assert len(path.read_text().splitlines()) == 4
    with FinishedRows(path) as rows:
        assert generator(loaded, decoder, **arguments).generate(PROMPTS, 1, finished=rows) == expected
    assert len(path.read_text().splitlines()) == len(PROMPTS)
    with FinishedRows(path) as rows:
        made = generator(loaded, decoder, **arguments)
        assert made.generate(PROMPTS, 1, finished=rows) == expected
        assert made.report() == {}, "nothing was left to decode"
