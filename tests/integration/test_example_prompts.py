from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sft
from tests.fakes import IM_END, LABELS
from tests.tiny_runs import tiny_run


def _text(example: dict[str, Any], *, in_loss: bool | None = None) -> str:
    return "".join(p["text"] for p in example["pieces"] if in_loss is None or p["in_loss"] == in_loss)


@pytest.mark.parametrize("method", ["logits", "generate"])
def test_a_record_shows_what_was_trained_on_and_what_was_asked(method: str, tmp_path: Path) -> None:
    test = [{"text": "how is this?", "label": "positive"}, {"text": "and that?", "label": "negative"}]
    train = [{"text": f"message {i}", "label": name} for i, name in enumerate(LABELS)]
    config = tiny_run(
        tmp_path, chat=True, train=train, test=test, dataset={"shots": 1}, inference={"method": method, "batch_size": 2}
    )
    record = sft.run_experiment(config, tmp_path / "results").record

    assert record.training is not None
    trained = record.training["example"]
    answer = _text(trained, in_loss=True)
    assert answer.endswith(IM_END)
    row = next(row for row in train if row["text"] in _text(trained, in_loss=False))
    assert answer == row["label"] + IM_END

    asked = record.inference["example"]
    assert asked["row"] == 0
    assert test[0]["text"] in _text(asked)
    assert not any(piece["in_loss"] for piece in asked["pieces"])
    assert test[0]["label"] not in _text(asked)
