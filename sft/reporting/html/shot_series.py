"""Learning curves out of any results: configurations that differ in nothing but their shots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sft.reporting.columns import BASELINE_TITLES, show
from sft.reporting.curve_points import CurvePoint, Series
from sft.reporting.curve_samples import ZERO
from sft.reporting.rows import ConfigurationRow, ReportTable, Summary

_EXAMPLES = ("ICE inference", "ICE training")
_SHORT = {("ICE inference", "yes"): "icl", ("ICE training", "yes"): "icl in training"}

Key = tuple[tuple[str, str], ...]


def shot_series(table: ReportTable, metric: str) -> list[Series]:
    """Methods, then baselines; empty where no method was tried with two numbers of shots.

    Points have the table's means and intervals, and begin at the bare model's where that was run on the same rows.
    How many in-context examples there were doesn't part a curve, unless it is tried apart from the shots. Runs on all
    training rows have no place on the axis.
    """
    rows = [row for row in table.configurations if metric in row.metrics and isinstance(row.settings["shots"], int)]
    bare = [row for row in rows if _is_bare(row)]
    others = [row for row in rows if not _is_bare(row)]
    keys = [_key(row, table.varying, counts=False) for row in others]
    if max(Counter((key, _shots(row)) for key, row in zip(keys, others, strict=True)).values(), default=0) > 1:
        keys = [_key(row, table.varying, counts=True) for row in others]
    curves: dict[Key, list[ConfigurationRow]] = {}
    for key, row in zip(keys, others, strict=True):
        curves.setdefault(key, []).append(row)
    found = [
        Series(
            _title(key), None, False, _points([*(b for b in bare if _starts(b, members[0], table)), *members], metric)
        )
        for key, members in curves.items()
    ]
    found += [
        Series(_title((*_key(row, table.varying, counts=False), ("", ZERO))), None, False, _points([row], metric))
        for row in bare
    ]
    if all(len(series.points) < 2 for series in found):
        return []
    return found + _baselines(rows, metric)


def _is_bare(row: ConfigurationRow) -> bool:
    return row.settings.get("adapter") is None and _shots(row) == 0


def _shots(row: ConfigurationRow) -> int:
    """Without shots, the in-context examples are the pool."""
    return int(row.settings["shots"] or row.settings.get("ICE inference") or 0)


def _key(row: ConfigurationRow, varying: Sequence[str], *, counts: bool) -> Key:
    """The settings that part curves. counts: whether numbers of in-context examples do."""
    values: dict[str, Any] = {name: row.settings.get(name) for name in varying if name != "shots"}
    if not counts:
        values |= {name: "yes" for name in _EXAMPLES if values.get(name)}
    return tuple((name, show(value)) for name, value in values.items() if value not in (None, 0))


def _starts(bare: ConfigurationRow, row: ConfigurationRow, table: ReportTable) -> bool:
    """Whether the bare model is the row's without training: they agree in all that both have."""
    names = [name for name in table.varying if name not in ("shots", *_EXAMPLES)]
    return all(bare.settings.get(name) in (None, row.settings.get(name)) for name in names)


def _title(key: Key) -> str:
    own = ("", "adapter", "model", "dataset")  # whose values say enough
    named = (_SHORT.get(part) or (part[1] if part[0] in own else " ".join(part)) for part in key)
    return ", ".join(named) or "runs"


def _points(rows: Sequence[ConfigurationRow], metric: str) -> list[CurvePoint]:
    points = [_point(_shots(row), row.metrics[metric], row.failed) for row in rows]
    return sorted(points, key=lambda point: point.shots)


def _point(shots: int, summary: Summary, failed: int = 0) -> CurvePoint:
    return CurvePoint(shots, shots, summary.mean, summary.sd, summary.low, summary.high, summary.n, failed)


def _baselines(rows: Sequence[ConfigurationRow], metric: str) -> list[Series]:
    """One per baseline and test set; of configurations with as many shots, that with the most runs speaks."""
    chosen: dict[tuple[str, str], dict[int, Summary]] = {}
    for row in rows:
        for name, values in row.baselines.items():
            if metric in values:
                where = f"{row.settings['dataset']}, {row.settings.get('test rows')} rows"
                here = chosen.setdefault((name, where), {})
                if _shots(row) not in here or here[_shots(row)].n < values[metric].n:
                    here[_shots(row)] = values[metric]
    several = len({where for _, where in chosen}) > 1
    return [
        Series(_baseline_title(name, where if several else ""), None, True, _sorted_points(summaries))
        for (name, where), summaries in chosen.items()
    ]


def _sorted_points(summaries: Mapping[int, Summary]) -> list[CurvePoint]:
    return [_point(shots, summary) for shots, summary in sorted(summaries.items())]


def _baseline_title(name: str, where: str) -> str:
    title = BASELINE_TITLES.get(name, name)
    return f"{title} ({where})" if where else title
