"""The part of the page that is of single runs, cut to what there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome
from sft.reporting.find import FoundRun
from sft.reporting.html.facts import facts
from sft.reporting.html.items import Choice, choose_items, shown_item
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


class InTurn(NamedTuple):
    """finished: how many runs there are."""

    runs: Sequence[ShownRun]
    finished: int


def runs_in_turn(configurations: Sequence[Numbered], found: Mapping[str, FoundRun]) -> InTurn:
    """At most `MOST_RUNS` finished runs: one of each configuration, then a second one of each, … found: by name."""
    finished = [
        (one.number, list(dict.fromkeys(run.folder for run in one.runs if run.status == "completed")))
        for one in configurations
    ]
    turns = range(max((len(names) for _, names in finished), default=0))
    order = [(number, names[turn]) for turn in turns for number, names in finished if turn < len(names)]
    return InTurn([_shown(number, found[name]) for number, name in order[:MOST_RUNS]], len(order))


def without_content(runs: InTurn) -> Details:
    """What is left of the page's part where nothing is said of the runs: what surrounds their sections."""
    return Details([DetailedRun(_title(run), Markup(""), Markup("")) for run in runs.runs], runs.finished)


def details(runs: InTurn, budget: int, environment: Environment) -> Details:
    """The runs, or the first of them that fit into about `budget` bytes.

    Half of the budget may go to sections; items get the rest, in equal shares, what one doesn't need left to the next.
    """
    bodies: list[tuple[ShownRun, Markup]] = []
    room = int(_FOR_SECTIONS * budget)
    for run in runs.runs:
        body = _body(run, environment)
        size = len(body.encode())
        if size > room:
            break
        room -= size
        budget -= size
        bodies.append((run, body))
    made = []
    for number, (run, body) in enumerate(bodies):
        items = _items(run, budget // (len(bodies) - number), environment)
        budget -= len(items.encode())
        made.append(DetailedRun(_title(run), body, items))
    return Details(made, runs.finished)


def _title(run: ShownRun) -> str:
    return f"#{run.number} · {run.name} · seed {run.record.seed}"


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
    items = items_of_run(run.folder, run.record)
    right = run.right.tolist()
    browser, row = environment.get_template("items.html"), environment.get_template("item.html")
    number = {label: i for i, label in enumerate(labels or ())}
    shared = {
        "labels": labels or (),
        "right": RIGHT[outcome.task_type],
        "has_probabilities": any("probabilities" in item for item in items),
    }

    def render(place: int) -> str:
        item = shown_item(items[place], right[place], labels)
        return row.render(item=item, classes=[number[label] for label in item.classes])

    # As long as it gets, whatever is chosen.
    frame = browser.render(shared, choice=Choice((), (0, len(items)), (0, len(items))))
    chosen = choose_items(right, budget - len(frame.encode()), run.record.run_id, render)
    return Markup(browser.render(shared, choice=chosen))
