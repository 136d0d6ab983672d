"""The part of the page that is of single runs, cut to what there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome
from sft.reporting.find import FoundRun
from sft.reporting.html.facts import facts
from sft.reporting.html.items import Choice, ShownItem, choose_items, shown_item
from sft.reporting.html.numbered import Numbered
from sft.reporting.html.run_sections import Section, ShownRun, run_section_registry
from sft.reporting.judged import items_of_run
from sft.reporting.right import RIGHT, right_answers

MOST_RUNS = 60
_FOR_SECTIONS = 0.5


class DetailedRun(NamedTuple):
    """title: in the menu of runs. body: the run's sections; items: its item browser. Both are markup."""

    title: str
    body: Markup
    items: Markup


class Details(NamedTuple):
    """finished: how many runs could have been shown."""

    runs: Sequence[DetailedRun]
    finished: int


def details(
    configurations: Sequence[Numbered], found: Sequence[FoundRun], budget: int, environment: Environment
) -> Details:
    """A run of each configuration, then a second one, …, at most `MOST_RUNS` and about `budget` bytes.

    Half of the budget may go to sections; items get the rest, in equal shares, what one doesn't need left to the next.
    """
    shown = list(_in_turn(configurations, {run.folder.name: run for run in found}))
    bodies: list[tuple[ShownRun, Markup]] = []
    room = int(_FOR_SECTIONS * budget)
    for run in shown[:MOST_RUNS]:
        body = _body(run, environment)
        size = len(body.encode())
        if size > room:
            break
        room -= size
        budget -= size
        bodies.append((run, body))
    runs = []
    for number, (run, body) in enumerate(bodies):
        items = _items(run, budget // (len(bodies) - number), environment)
        budget -= len(items.encode())
        runs.append(DetailedRun(f"#{run.number} · {run.name} · seed {run.record.seed}", body, items))
    return Details(runs, len(shown))


def _in_turn(configurations: Sequence[Numbered], found: dict[str, FoundRun]) -> Iterator[ShownRun]:
    finished = [(one.number, [run.folder for run in one.runs if run.status == "completed"]) for one in configurations]
    for turn in range(max((len(folders) for _, folders in finished), default=0)):
        for number, folders in finished:
            if turn < len(folders):
                yield _shown(number, found[folders[turn]])


def _shown(number: int, run: FoundRun) -> ShownRun:
    right = None if run.judged is None else right_answers(run.judged)
    return ShownRun(number, run.folder, run.record, run.judged, right)


def _body(run: ShownRun, environment: Environment) -> Markup:
    sections: list[tuple[str, Section]] = []
    missing: list[tuple[str, str]] = []
    for name, entry in sorted(run_section_registry.items(), key=lambda item: item[1].place):
        built = entry.build(run)
        if isinstance(built, Section):
            sections.append((f"sections/{name}.html", built))
        else:
            missing.append((entry.title, built))
    template = environment.get_template("run.html")
    return Markup(template.render(run=run, facts=facts(run), sections=sections, missing=missing))


def _items(run: ShownRun, budget: int, environment: Environment) -> Markup:
    """The item browser; empty for a run whose items can't be read."""
    if run.judged is None or run.right is None:
        return Markup("")
    outcome = run.judged.outcome
    labels = outcome.labels if isinstance(outcome, (ClassificationOutcome, MultilabelOutcome)) else None
    items = [
        shown_item(item, bool(right), labels)
        for item, right in zip(items_of_run(run.folder, run.record), run.right, strict=True)
    ]
    browser = environment.get_template("items.html")
    number = {label: i for i, label in enumerate(labels or ())}
    row = environment.get_template("item.html")

    def render(item: ShownItem) -> str:
        return row.render(item=item, classes=[number[label] for label in item.classes])

    def whole(choice: Choice) -> Markup:
        return Markup(browser.render(choice=choice, labels=labels or (), right=RIGHT[outcome.task_type], items=items))

    frame = len(whole(Choice((), (0, len(items)), (0, len(items)))).encode())
    return whole(choose_items(items, budget - frame, run.record.run_id, render))
