"""A task and a few choices → the values of a config, with a line on why for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sft.init.look import words_of
from sft.init.task import Task

_SECTIONS = ("dataset", "model", "prompting", "lora", "training", "inference", "seed")
_NAMED_IN_INSTRUCTION = 30
_SAY_NOTHING = {"label", "labels", "class", "target", "gold", "output", "answer", "text", "name", "is", "has"}
_TOKENS_OF_A_PROMPT = 512
_TEST_ROWS = 1000


class Choices(NamedTuple):
    """What isn't told by the data.

    path: of the data set, which may be written anew. name: of the experiment. instruction: None: one is drafted. shots:
    labelled rows, per label for classification and multi-label.
    """

    path: str | list[str]
    name: str
    model: str
    instruction: str | None
    shots: int


class Entry(NamedTuple):
    """One value of a config: its dotted key and why it is so."""

    key: tuple[str, ...]
    value: Any
    why: str = ""


def entry(key: str, value: Any, why: str = "") -> Entry:
    return Entry(tuple(key.split(".")), value, why)


def nested(entries: Sequence[Entry]) -> dict[str, Any]:
    """The plain values of a config, in the order in which one reads it; of the same key the last."""
    made: dict[str, Any] = {}
    for each in sorted(entries, key=lambda each: _SECTIONS.index(each.key[0])):
        section = made
        for part in each.key[:-1]:
            section = section.setdefault(part, {})
        section[each.key[-1]] = each.value
    return made


def draft(task: Task, choices: Choices) -> list[Entry]:
    """What is the same for all methods."""
    rows = f"{task.train} rows to learn from, {task.test} to test"
    return [
        entry("dataset.path", choices.path, f"relative to the working directory; {rows}"),
        *(
            [entry("dataset.args", task.args, "how the files are read")]
            if task.args and choices.path == task.path
            else []
        ),
        entry("dataset.task_type", task.task_type, _why_task(task)),
        *([entry("dataset.label_separator", task.separator, "between the labels of a row")] if task.separator else []),
        *_labels(task),
        *(
            [entry("dataset.max_n_test", _TEST_ROWS, "the same for every seed; null: all")]
            if task.test > _TEST_ROWS
            else []
        ),
        entry("model.name", choices.model, "hub id or folder of any causal language model"),
        entry(
            "prompting.instruction",
            choices.instruction or drafted_instruction(task),
            "what the model is told; worth a try in other words",
        ),
        entry("prompting.input_columns", list(task.inputs), "what the model sees of a row"),
        *(
            [
                entry(
                    "prompting.candidate_columns", list(task.candidates), "the row's own answers, of which one is right"
                )
            ]
            if task.candidates
            else []
        ),
        entry("prompting.output_column", task.output, "what it is to answer"),
        *_limits(task),
        entry("inference.batch_size", "auto", "as many prompts at a time as fit into the memory"),
        entry("seed", 13, "--random-seed replaces it; compare methods over several"),
    ]


def drafted_instruction(task: Task) -> str:
    inputs, output = _listed([humane(name) for name in task.inputs], "and"), humane(task.output)
    words = [text.strip() for text in task.labels.values()]
    if task.task_type == "multilabel":
        return f"Say whether the label applies to the {inputs}: yes or no."
    if task.task_type == "multiple_choice":
        return "Choose the right answer."
    if task.task_type == "generation":
        return f"Write the {output} that fits the {inputs}."
    what = _name_of_answers(task.output)
    of_what = f"Classify the {what} of the {inputs}" if what else f"Classify the {inputs}"
    if 0 < len(words) <= _NAMED_IN_INSTRUCTION:
        return f"{of_what} as {_listed(words, 'or')}."
    return f"{of_what}. Answer with the {what or 'label'} alone."


def _name_of_answers(column: str) -> str:
    """A word or two such as "sentiment" or "main topic"; nothing where the name says nothing, or is a sentence."""
    words = words_of(column)
    return "" if len(words) > 2 else " ".join(word for word in words if word not in _SAY_NOTHING)


def humane(name: str) -> str:
    """A column's name as prose has it: reply_text → reply text."""
    return " ".join(words_of(name)) or name


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _why_task(task: Task) -> str:
    return {
        "classification": f"each row has one of {len(task.counts)} labels, whose probabilities are compared",
        "multilabel": f"each row has any number of {len(task.counts)} labels (docs/multilabel.md)",
        "multiple_choice": "each row has answers of its own (docs/multiple-choice.md)",
    }.get(task.task_type, "the model writes a text")


def _labels(task: Task) -> list[Entry]:
    if not task.labels:
        return []
    why = "value in the data → what the model reads and scores: short words that say what is meant"
    return [entry("dataset.labels", task.labels, why)]


def _limits(task: Task) -> list[Entry]:
    """Limits for texts that may be long; what they cut is counted in the record."""
    limits = []
    most = input_limit(task)
    if most is not None:
        why = f"tokens of each column; the longest text has {max(task.longest_inputs)} characters"
        limits.append(entry("prompting.max_input_length", most, why))
    if task.task_type == "generation" and tokens_at_most(task.longest_output) > _TOKENS_OF_A_PROMPT // 2:
        why = f"tokens of an answer; the longest has {task.longest_output} characters"
        limits.append(entry("prompting.max_output_length", _TOKENS_OF_A_PROMPT // 2, why))
    return limits


def input_limit(task: Task) -> int | None:
    """The tokens of each column with which a row's inputs are short enough; None where nothing needs to be cut.

    Columns that stay below it leave their share to longer ones: a question loses nothing, its paragraph little.
    """
    tokens = sorted(map(tokens_at_most, task.longest_inputs))
    left = _TOKENS_OF_A_PROMPT
    for i, length in enumerate(tokens):
        share = left // (len(tokens) - i)
        if length > share:
            return share
        left -= length
    return None


def tokens_at_most(characters: int) -> int:
    """Tokens of a text, rather too many: two characters a token is what scripts other than Latin take."""
    return (characters + 1) // 2
