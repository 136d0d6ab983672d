"""`python -m docs.pictures.draw` draws the pictures of docs/concepts.md from facts.json; `--facts` computes it anew."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.pictures.svg import BAR, CHARACTER, FAINT, LEARNT, LINE, MOST, READ, SIZE, WIDTH, Picture, shown

FOLDER = Path(__file__).parent
FACTS = FOLDER / "facts.json"
_LEFT, _ROW = 18, 34


def drawn() -> dict[str, str]:
    """The pictures by the names of their files."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    return {
        "tokens.svg": tokens(facts["tokens"]),
        "tree.svg": tree(facts["tree"]),
        "calibration.svg": calibration(facts["calibration"]),
    }


def tokens(facts: dict[str, list[tuple[str, bool]]]) -> str:
    """Every token in a box, coloured by whether the loss covers it."""
    picture = Picture("A training row as tokens: the loss covers the answer's tokens and the end of the turn")
    y = 36.0
    for name, row in facts.items():
        picture.text(_LEFT, y, f"{name} format: {len(row)} tokens, {sum(m for _, m in row)} in the loss", bold=True)
        y = _chips(picture, row, y + _ROW + 4) + _ROW + 20
    picture.chip(_LEFT, y, "read", READ)
    end = picture.chip(_LEFT + 70, y, "learnt", LEARNT)
    picture.text(end + 14, y, "· space   ⏎ end of line", fill=FAINT)
    return picture.svg(y + 24)


def _chips(picture: Picture, row: Sequence[tuple[str, bool]], y: float) -> float:
    x = float(_LEFT)
    for token, in_loss in row:
        text = shown(token)
        if x + len(text) * CHARACTER + 10 > WIDTH - _LEFT:
            x, y = float(_LEFT), y + _ROW
        x = picture.chip(x, y, text, LEARNT if in_loss else READ) + 4
        if token.endswith("\n"):
            x, y = float(_LEFT), y + _ROW
    return y


def tree(facts: dict[str, Any]) -> str:
    """The labels' tokens as a tree, downwards, each with its log-probability, and the labels' scores at their ends."""
    picture = Picture("Labels as a tree of tokens: what several labels begin with is read once")
    first, *rest = facts["prompt"].split("\n")
    picture.text(_LEFT, 36, f"The prompt: {facts['prompt_tokens']} tokens, read once", bold=True)
    picture.box(_LEFT, 50, WIDTH - 2 * _LEFT, 62, READ)
    for i, line in enumerate([first, *rest]):
        picture.text(_LEFT + 8, 74 + 26 * i, line, mono=True)
    for x, heading in ((WIDTH - 148, "log p"), (WIDTH - 74, "score"), (WIDTH - _LEFT, "p")):
        picture.text(x, 146, heading, fill=FAINT, end=True)
    scores = [label["score"] for label in facts["labels"]]
    total = math.log(sum(math.exp(score) for score in scores))
    y = _branches(picture, facts["labels"], 0, 152.0, total)
    y += 50
    picture.chip(_LEFT, y, "read", READ)
    end = picture.chip(_LEFT + 64, y, "only predicted", "#ffffff", line=LINE)
    picture.text(end + 10, y, "∎ end of the turn", fill=FAINT)
    inner = {tuple(label["tokens"][:i]) for label in facts["labels"] for i in range(1, len(label["tokens"]))}
    one_each = sum(facts["prompt_tokens"] + len(label["tokens"]) - 1 for label in facts["labels"])
    y += 38
    text = f"Read: {facts['prompt_tokens']} + {len(inner)} tokens. One sequence per label: {one_each}."
    picture.text(_LEFT, y, text)
    return picture.svg(y + 22)


def _branches(picture: Picture, labels: Sequence[dict[str, Any]], depth: int, y: float, total: float) -> float:
    """The subtree of labels that are alike up to `depth`. Returns the baseline of its last line."""
    x = _LEFT + 8 + depth * 30
    for token in dict.fromkeys(label["tokens"][depth] for label in labels):
        below = [label for label in labels if label["tokens"][depth] == token]
        inside = [label for label in below if len(label["tokens"]) > depth + 1]
        y += _ROW
        picture.line(x - 12, y - 6, x, y - 6)
        is_end = not inside
        text = "∎" if is_end else shown(token)
        picture.chip(x, y, text, "#ffffff" if is_end else READ, line=LINE if is_end else "none")
        picture.text(WIDTH - 148, y, f"{below[0]['log_probs'][depth]:.2f}", fill=FAINT, end=True)
        if is_end:
            score = below[0]["score"]
            picture.text(WIDTH - 74, y, f"{score:.2f}", bold=True, end=True)
            picture.text(WIDTH - _LEFT, y, f"{math.exp(score - total):.2f}", bold=True, end=True)
        else:
            y = _branches(picture, inside, depth + 1, y, total)
    return y


_NAMES = {"none": "as scored", "contextual": "contextual", "batch": "batch"}


def calibration(facts: dict[str, Any]) -> str:
    """A model that leans to one label, what it says of no content, and what calibrations make of its predictions."""
    picture = Picture("Calibration takes away what a model says of every text alike")
    y = 36.0
    picture.text(_LEFT, y, "What it says of inputs without content", bold=True)
    y = _bars(picture, facts["labels"], facts["content_free"], y, 1.0, lambda v: f"{v:.2f}")
    y += 48
    picture.text(_LEFT, y, f"“{facts['message']}”", bold=True)
    for name in ("none", "contextual"):
        y += 30
        picture.text(
            _LEFT, y, {"none": "probabilities as scored", "contextual": "divided by the above"}[name], fill=FAINT
        )
        y = _bars(picture, facts["labels"], facts["probabilities"][name], y, 1.0, lambda v: f"{v:.2f}")
    for name, said in _NAMES.items():
        y += 48
        accuracy = facts["accuracy"][name]
        picture.text(_LEFT, y, f"{facts['rows']} predictions, {said}: accuracy {accuracy:.2f}", bold=True)
        y = _bars(picture, facts["labels"], facts["predicted"][name], y, facts["rows"], lambda v: f"{v:.0f}")
    y += 36
    picture.text(_LEFT, y, f"Of each label there are {facts['per_label'][0]} rows.", fill=FAINT)
    return picture.svg(y + 24)


def _bars(picture: Picture, labels: Sequence[str], values: Sequence[float], y: float, most: float, said: Any) -> float:
    left, room = _LEFT + 84, WIDTH - 2 * _LEFT - 84 - 56
    for label, value in zip(labels, values, strict=True):
        y += 28
        picture.text(_LEFT, y, label)
        picture.box(left, y - SIZE + 2, max(room * value / most, 2), SIZE, MOST if value == max(values) else BAR)
        picture.text(left + room * value / most + 8, y, said(value))
    return y


def main() -> None:
    if sys.argv[1:] == ["--facts"]:
        from docs.pictures.facts import all_facts

        FACTS.write_text(json.dumps(all_facts(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name, text in drawn().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
