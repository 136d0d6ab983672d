"""A comparison of two runs as sections of a text, as Markdown and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sft.reporting.columns import Cell, number
from sft.reporting.compare import Difference, RunComparison
from sft.reporting.markdown import escape, grid


class Section(NamedTuple):
    """A table with a heading and what is to be known of it."""

    title: str
    about: str
    header: list[str]
    rows: list[list[str]]


def sections(comparison: RunComparison, items: int) -> list[Section]:
    """items: how many of the differing items are listed."""
    found = [Section("Metrics", _about_tests(comparison), *_differences(comparison.metrics))]
    if comparison.classes:
        found.append(Section("Per class", "Holm-corrected over this table.", *_differences(comparison.classes)))
    return [*found, _mcnemar(comparison), _items(comparison, items)]


def heading(comparison: RunComparison) -> str:
    return f"first: {comparison.first}; second: {comparison.second}; {comparison.rows} test rows"


def comparison_markdown(comparison: RunComparison, items: int) -> str:
    parts = [f"# {escape(comparison.first)} and {escape(comparison.second)}", escape(heading(comparison))]
    parts += [f"> {escape(note)}" for note in comparison.notes]
    for title, about, header, rows in sections(comparison, items):
        parts += [f"## {title}", escape(about)]
        if rows:
            parts.append(grid(header, [[Cell(text) for text in row] for row in rows]))
    return "\n\n".join(parts) + "\n"


def comparison_json(comparison: RunComparison, items: int) -> dict[str, Any]:
    return {
        "first": comparison.first,
        "second": comparison.second,
        "rows": comparison.rows,
        "resamples": comparison.resamples,
        "metrics": [difference._asdict() for difference in comparison.metrics],
        "classes": [difference._asdict() for difference in comparison.classes],
        "right": comparison.right,
        "mcnemar": comparison.mcnemar._asdict(),
        "items_differing": _counts(comparison),
        "items": [item._asdict() for item in comparison.items[:items]],
        "notes": list(comparison.notes),
    }


def _about_tests(comparison: RunComparison) -> str:
    return (
        f"Second less first, with the 95 % interval and two-sided p-value of {comparison.resamples:,} paired bootstrap "
        "samples of test rows; Holm-corrected over this table. Without an interval: not a function of sums over rows."
    )


def _differences(differences: Sequence[Difference]) -> tuple[list[str], list[list[str]]]:
    labels = any(difference.of is not None for difference in differences)
    header = [*(["label"] if labels else []), "metric", "first", "second", "difference", "interval", "p", "p (Holm)"]
    rows = []
    for each in differences:
        interval = "–" if each.low is None else f"[{number(each.low)}, {number(each.high)}]"
        cells = [each.name, number(each.first), number(each.second), f"{each.difference:+.3f}", interval]
        rows.append([*([each.of or ""] if labels else []), *cells, _p(each.p), _p(each.p_holm)])
    return header, rows


def _mcnemar(comparison: RunComparison) -> Section:
    counts = comparison.mcnemar
    about = f"Rows by which run is right ({comparison.right}). McNemar's exact test: p = {_p(counts.p)}."
    rows = [
        ["first right", str(counts.both_right), str(counts.only_first)],
        ["first wrong", str(counts.only_second), str(counts.both_wrong)],
    ]
    return Section("Right and wrong", about, ["", "second right", "second wrong"], rows)


def _items(comparison: RunComparison, items: int) -> Section:
    shown = comparison.items[:items]
    counts = ", ".join(f"{who} right: {count}" for who, count in _counts(comparison).items())
    about = f"Predictions differ on {len(comparison.items)} of {comparison.rows} rows ({counts or 'none'})."
    if len(shown) < len(comparison.items):
        about += f" The first {len(shown)} are listed."
    rows = [
        [str(item.row), "\n".join(item.inputs.values()), " / ".join(item.references), item.first, item.second, item.who]
        for item in shown
    ]
    return Section("Items", about, ["row", "inputs", "reference", "first", "second", "right"], rows)


def _counts(comparison: RunComparison) -> dict[str, int]:
    return dict(Counter(item.who for item in comparison.items).most_common())


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}" if value < 0.001 else f"{value:.3f}"
