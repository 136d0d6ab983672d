"""A whole learning curve: planned, run, aggregated and written. What the command `sft curve` calls."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from sft.api import Sweep, run_experiments
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.resampling import JudgedRun
from sft.experiments.curve import CurveSpec, plan_curve
from sft.experiments.live import Live
from sft.experiments.outcome import RunOutcome
from sft.records import write_bytes, write_json, write_text
from sft.reporting.curve import learning_curve
from sft.reporting.curve_markdown import curve_as_markdown
from sft.reporting.curve_plot import INSTALL, can_plot, curve_pictures
from sft.reporting.curve_points import LearningCurve
from sft.reporting.judged import read_judged

FILE = "curve"


class CurveRun(NamedTuple):
    """sweep: how its runs ended. curve: None where no run finished. files: what was written."""

    sweep: Sweep
    curve: LearningCurve | None
    files: list[Path]


def run_curve(
    config: ExperimentConfig,
    spec: CurveSpec,
    results_path: str | Path,
    *,
    metric: str | None = None,
    live: Live | None = None,
) -> CurveRun:
    """Run the curve's experiments and write `curve.json`, `.md`, and with matplotlib `.svg` and `.png`.

    config: of one experiment; its shots, in-context examples and seed are replaced by what `spec` says. metric: a
    scalar result, by default the first of the usual ones. live: is told what happens. Runs that are done already aren't
    run again, and what an interrupt leaves done is shown all the same.
    """
    results_path = Path(results_path)
    plan = plan_curve(config, spec)
    sweep = run_experiments(plan.runs, results_path, live=live)
    place = {run.name: number for number, run in enumerate(plan.runs)}
    outcomes = sorted(sweep.outcomes, key=lambda outcome: place[outcome.name])
    notes = [*plan.notes, *([] if can_plot() else [f"No picture: matplotlib is missing ({INSTALL})."])]
    judged = _judged(outcomes, notes)
    records = [outcome.record for outcome in outcomes]
    if not any(record.status == "completed" for record in records):
        return CurveRun(sweep, None, [])
    curve = learning_curve(records, judged, metric=metric, notes=notes)
    return CurveRun(sweep, curve, write_curve(curve, results_path))


def write_curve(curve: LearningCurve, folder: Path) -> list[Path]:
    """The files of a curve, the one for people last."""
    pictures = curve_pictures(curve) if can_plot() else {}
    write_json(folder / f"{FILE}.json", asdict(curve))
    for ending, content in pictures.items():
        write_bytes(folder / f"{FILE}.{ending}", content)
    write_text(folder / f"{FILE}.md", curve_as_markdown(curve, f"{FILE}.svg" if pictures else None))
    return [folder / f"{FILE}.{ending}" for ending in ("json", *pictures, "md")]


def _judged(outcomes: list[RunOutcome], notes: list[str]) -> dict[str, JudgedRun]:
    judged = {}
    for outcome in outcomes:
        if outcome.record.status == "completed":
            try:
                judged[outcome.record.folder_name] = read_judged(outcome.folder, outcome.record)
            except SftError as error:
                notes.append(f"No tests with a run: {error.message}")
    return judged
