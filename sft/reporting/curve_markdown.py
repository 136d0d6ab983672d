"""`curve.md`: a learning curve for people."""

from __future__ import annotations

from sft.reporting.columns import Cell, number
from sft.reporting.curve_points import CurvePoint, CurveTest, LearningCurve, Series
from sft.reporting.markdown import escape, grid


def curve_as_markdown(curve: LearningCurve, picture: str | None = None) -> str:
    """picture: the name of a file beside, to be shown."""
    parts = [f"# Learning curve: {escape(curve.metric)} of {escape(curve.model)} on {escape(curve.dataset)}"]
    if picture is not None:
        parts.append(f"![{escape(curve.metric)} by number of labels]({picture})")
    if curve.answers:
        parts += ["## How many labels are needed?", "\n".join(f"- {escape(answer)}" for answer in curve.answers)]
        parts.append(
            "Significant is p < 0.05 in a paired bootstrap over seeds and test rows, corrected by Holm for all tests "
            "of one question. What isn't shown may still be so: look at the intervals."
        )
    parts += [f"## {escape(curve.metric)} by number of labels", _table(curve)]
    parts.append(
        "Mean over seeds [95 % interval over seeds and test rows]. Labels are all that a run used, for training, "
        "in-context examples and calibration."
    )
    parts += [f"> {escape(note)}" for note in curve.notes]
    if curve.tests:
        parts += ["## Tests", _tests(curve)]
    return "\n\n".join(parts) + "\n"


def _table(curve: LearningCurve) -> str:
    shots = sorted({point.shots for series in curve.series for point in series.points})
    header = ["labels", *(["of each"] if curve.per_label else []), *(series.title for series in curve.series)]
    rows = []
    for count in shots:
        at = [_point(series, count) for series in curve.series]
        labels = next(point.labels for point in at if point is not None)
        rows.append([f"{labels:g}", *([str(count)] if curve.per_label else []), *map(_cell, at)])
    return grid(header, [[Cell(text) for text in row] for row in rows])


def _point(series: Series, shots: int) -> CurvePoint | None:
    return next((point for point in series.points if point.shots == shots), None)


def _cell(point: CurvePoint | None) -> str:
    if point is None:
        return "–"
    failed = f" ({point.failed} failed)" if point.failed else ""
    interval = "" if point.low is None else f" [{number(point.low)}, {number(point.high)}]"
    return f"{number(point.mean)}{interval}{failed}"


def _tests(curve: LearningCurve) -> str:
    header = ["curve", "labels", "question", "against", "difference", "p (Holm)", "significant"]
    return grid(header, [[Cell(text) for text in _row(test)] for test in curve.tests])


def _row(test: CurveTest) -> list[str]:
    difference = f"{test.difference:+.3f} [{number(test.low)}, {number(test.high)}]"
    question, significant = f"{test.question}?", "yes" if test.significant else "no"
    return [test.series, f"{test.labels:g}", question, test.against, difference, f"{test.p_holm:.3g}", significant]
