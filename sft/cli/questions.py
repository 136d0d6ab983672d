"""What `init` asks where no option says it, each question with what the data suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from sft.cli.ask import Asker
from sft.config.load import named_arguments
from sft.config.schema import TaskType
from sft.data.load import check_columns
from sft.errors import DataError, SftError
from sft.init.guess import Given, Guess, guess
from sft.init.look import Column, is_number, look
from sft.init.methods import default_shots, method_registry
from sft.init.rows import Source, class_names, table_of
from sft.init.task import Task, needs_split, task_of
from sft.registry import unknown_name_fix

TASKS = ("classification", "generation", "multilabel", "multiple_choice")
HELD_OUT = "0.2"
_SHOWN = 40


def ask_columns(person: Asker, source: Source, given: Given) -> Guess:
    """Which columns are used, and for which task. What is given is not asked."""
    table = table_of(source.train)
    named = [*given.inputs, *given.candidates, *([given.output] if given.output else [])]
    check_columns(list(table), named, f"the data set {source.path!r}")
    columns = look(table, class_names(source.train))
    person.tell(described(columns))
    if given.output is None:
        likely = _likely(person, columns, table, given)
        given = given._replace(
            output=person.ask("Column that holds the answer", likely, "--output-column", _column(columns))
        )
    if given.task_type is None:
        found = guess(columns, table, given).task_type
        given = given._replace(task_type=person.ask(f"Task type ({', '.join(TASKS)})", found, "--task-type", task_type))
    if not given.inputs:
        seen = guess(columns, table, given).inputs
        read = _several(columns, seen)
        given = given._replace(
            inputs=person.ask("Columns that the model sees", ", ".join(seen), "--input-column", read)
        )
    return guess(columns, table, given)


def ask_task(person: Asker, source: Source, guess: Guess, share: float | None) -> Task:
    """The rows; where none can be tested on, what share of them is held out."""
    if share is None and needs_split(source, guess.output):
        question = "There is no test split with answers. Share of the rows to hold out"
        share = person.ask(question, HELD_OUT, "--split", share_of)
    return task_of(source, guess, share)


def ask_wordings(person: Asker, task: Task, given: Sequence[str]) -> dict[str, str]:
    """What the model reads for each label. Asked for where labels are numbers, which say nothing."""
    for name in task.labels:
        if name != name.lower() and name.lower() in task.labels:
            person.tell(f"note: the labels {name!r} and {name.lower()!r} differ in case only; are they the same?")
    wanted = {name: str(text) for name, text in named_arguments(given, "--label").items()}
    for name in wanted:
        if name not in task.labels:
            fix = unknown_name_fix(name, task.labels)
            raise SftError(f"--label: {name!r} is no value of the column {task.output!r}", fix)
    if task.labels and all(is_number(name) for name in task.labels):
        for name in [name for name in task.labels if name not in wanted]:
            wanted[name] = person.ask(f"What {task.output} {name} means, in a word", name, f"--label {name}=WORDS", str)
    return {**task.labels, **wanted}


def ask_method(person: Asker, given: str | None) -> str:
    names = ", ".join(method_registry)
    return _method(given) if given else person.ask(f"Method ({names})", "lora", "--method", _method)


def ask_shots(person: Asker, task: Task) -> int:
    unit = "per label" if task.counts else "in total"
    return person.ask(f"Labelled rows to learn from, {unit}", str(default_shots(task)), "--shots", _count)


def described(columns: Sequence[Column]) -> str:
    """A numbered line for each column: what it holds, and some of it."""
    lines = []
    for number, column in enumerate(columns, start=1):
        shown = ", ".join(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…" for value in column.values[:3])
        empty = f", {column.missing} empty" if column.missing else ""
        lines.append(" ".join(f"{number:3} {column.name} ({column.kind}{empty}): {shown}".split()))
    return "\n".join(lines)


def task_type(text: str) -> TaskType:
    if text not in TASKS:
        raise SftError(f"no task type for this is called {text!r}", f"one of: {', '.join(TASKS)}")
    return cast(TaskType, text)


def share_of(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise SftError(f"the share of rows to hold out must be between 0 and 1, got {text}", "e.g. --split 0.2")
    return share


def _likely(person: Asker, columns: Sequence[Column], table: Mapping[str, Sequence[Any]], given: Given) -> str | None:
    """The likeliest output. Where none is likely, a person can still say; others are told."""
    try:
        return guess(columns, table, given).output
    except DataError as error:
        if not person.answers:
            raise
        person.tell(error.message)
        return None


def _column(columns: Sequence[Column]) -> Callable[[str], str]:
    """Reads the name of a column, or its number."""
    names = [column.name for column in columns]

    def read(text: str) -> str:
        if text in names:
            return text
        if text.isdecimal() and 0 < int(text) <= len(names):
            return names[int(text) - 1]
        raise SftError(f"there is no column {text!r}", unknown_name_fix(text, names))

    return read


def _several(columns: Sequence[Column], suggested: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names or numbers with commas between them; what is suggested may be names that hold commas."""
    one = _column(columns)

    def read(text: str) -> tuple[str, ...]:
        if text == ", ".join(suggested):
            return tuple(suggested)
        return tuple(one(part.strip()) for part in text.split(","))

    return read


def _method(text: str) -> str:
    method_registry[text]
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SftError(f"the number of labelled rows must be 1 or more, got {text!r}", "e.g. 16")
    return int(text)
