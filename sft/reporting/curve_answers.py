"""How many labels are needed: the tests of a learning curve in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from sft.reporting.columns import number
from sft.reporting.curve_points import CurveTest


def answers(titles: Sequence[str], tests: Sequence[CurveTest], *, per_label: bool) -> list[str]:
    """Two sentences per curve, where it was tested.

    titles: of the curves. per_label: whether shots are counted per label. That nothing was shown is said as that, and
    never as equality.
    """
    sentences = []
    for title in titles:
        own = [test for test in tests if test.series == title]
        above = [test for test in own if test.question == "above the best baseline"]
        below = [test for test in own if test.question == "below its largest"]
        if above:
            sentences.append(_above(title, above, per_label))
        if below:
            sentences.append(_enough(title, below, per_label))
    return sentences


def labels_text(labels: float, shots: int, *, per_label: bool) -> str:
    if labels == 0:
        return "no label"
    each = f" ({shots} of each)" if per_label else ""
    return f"{labels:g} {'label' if labels == 1 else 'labels'}{each}"


def _above(title: str, tests: Sequence[CurveTest], per_label: bool) -> str:
    tests = sorted(tests, key=lambda test: test.labels)
    first = next((test for test in tests if test.significant), None)
    if first is None:
        last = tests[-1]
        most = labels_text(last.labels, last.shots, per_label=per_label)
        return (
            f"{title}: the evidence doesn't show that it is better than {_baseline(tests)} with any number of labels "
            f"tried. With {most}: {_difference(last)}."
        )
    text = (
        f"{title}: the fewest labels with which it is significantly better than {_baseline(tests)} are "
        f"{labels_text(first.labels, first.shots, per_label=per_label)}: {_difference(first)}."
    )
    later = [test for test in tests if test.labels > first.labels and not test.significant]
    if later:
        where = ", ".join(f"{test.labels:g}" for test in later)
        text += f" Not so with {where}."
    return text


def _enough(title: str, tests: Sequence[CurveTest], per_label: bool) -> str:
    tests = sorted(tests, key=lambda test: test.labels)
    first = next((test for test in tests if not test.significant), None)
    if first is None:
        last = tests[-1]
        fewer = labels_text(last.labels, last.shots, per_label=per_label)
        return (
            f"{title}: every smaller number of labels tried is significantly worse than the largest, the next with "
            f"{fewer}: {_difference(last)}. More labels than were tried may help further."
        )
    return (
        f"{title}: the fewest labels with which it isn't significantly worse than with the most tried are "
        f"{labels_text(first.labels, first.shots, per_label=per_label)}: {_difference(first)}."
    )


def _baseline(tests: Sequence[CurveTest]) -> str:
    """The bare model, for tasks without baselines."""
    return "zero-shot" if all(test.against.startswith("zero") for test in tests) else "the best baseline"


def _difference(test: CurveTest) -> str:
    p = "p < 0.001" if test.p_holm < 0.001 else f"p = {test.p_holm:.2g}"
    against = f" against {test.against}" if test.question == "above the best baseline" else ""
    return f"{test.difference:+.3f} [{number(test.low)}, {number(test.high)}]{against}, {p}"
