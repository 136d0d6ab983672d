"""The registry of metrics: a contract for every entry, and how choices and arguments are checked."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from sft.errors import ConfigError, DataError, SftError
from sft.evaluation.metrics import Metric, check_metrics, compute_metrics, metric, metric_registry
from sft.evaluation.outcome import (
    ClassificationOutcome,
    GenerationOutcome,
    MultilabelOutcome,
    MultipleChoiceOutcome,
    Outcome,
    StructuredOutcome,
)

METRICS = {
    "classification": {
        *("accuracy", "balanced_accuracy", "f1", "per_class", "mcc", "confusion_matrix", "invalid_rate"),
        *("ece", "brier", "nll"),
    },
    "generation": {"bleu", "chrf", "exact_match", "no_answer", "rouge", "token_f1"},
    "structured": {"valid_json", "schema_valid", "value_match", "fields", "per_field"},
    "multiple_choice": {"accuracy", "ece", "brier", "nll"},
    "multilabel": {"subset_accuracy", "multilabel_f1", "jaccard", "lrap", "per_label"},
}

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.9, 0.0], [1.0, 0.0, 0.0]])
REFERENCES = np.array([0, 1, 2, 1])
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
OUTCOMES: dict[str, Outcome] = {
    "scored labels": ClassificationOutcome(("a", "b", "c"), REFERENCES, PROBABILITIES.argmax(axis=1), PROBABILITIES),
    "generated labels": ClassificationOutcome(("a", "b", "c"), REFERENCES, np.array([0, -1, 2, 0])),
    "one scored label": ClassificationOutcome(("a", "b", "c"), REFERENCES[:1], np.array([0]), PROBABILITIES[:1]),
    "one invalid label": ClassificationOutcome(("a", "b"), np.array([1]), np.array([-1])),
    "scored candidates": MultipleChoiceOutcome(
        [["a", "b", "c"], ["d", "e"]], np.array([0, 1]), np.array([0, 0]), np.array([[0.7, 0.2, 0.1], [0.6, 0.4, 0.0]])
    ),
    "texts": GenerationOutcome([["a cat", "the cat"], [""], ["ما هو؟", "b", "c"]], ["the cat", "x y z", "ما هو"]),
    "one text": GenerationOutcome([["on the mat sat a cat"]], ["a cat sat on the mat"]),
    "one empty text": GenerationOutcome([[""]], [""]),
    "sets of labels": MultilabelOutcome(
        ("a", "b", "c"), PROBABILITIES > 0.25, PROBABILITIES > 0.15, np.log(PROBABILITIES + 0.01)
    ),
    "generated sets": MultilabelOutcome(("a", "b", "c"), PROBABILITIES > 0.25, PROBABILITIES > 0.15),
    "one empty set": MultilabelOutcome(("a", "b"), np.zeros((1, 2), dtype=bool), np.zeros((1, 2), dtype=bool)),
    "values": StructuredOutcome(SCHEMA, ['{"a": "x"}', "{}", '{"a": "y"}'], ['{"a": "x"}', '{"b": [1, {}]}', "no"]),
    "one value": StructuredOutcome(SCHEMA, ['{"a": "x"}'], ["{}"]),
    "one value cut off": StructuredOutcome(SCHEMA, ["{}"], ['{"a": "x']),
}
CASES = [
    (name, kind)
    for name, entry in metric_registry.items()
    for kind, outcome in OUTCOMES.items()
    if outcome.task_type in entry.task_types
]


def assert_plain(value: Any) -> None:
    """Only what JSON has; NumPy's float64 is a float, so the type itself is compared."""
    assert type(value) in (dict, list, str, int, float, bool, type(None)), repr(value)
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_plain(child)


@pytest.fixture
def added_metric() -> Iterator[None]:
    """A metric that no test outcome needs, with arguments of several kinds; it isn't a default."""

    @metric("added", task_type="classification")
    def added(
        outcome: ClassificationOutcome,
        *,
        limit: Annotated[float, Field(ge=0)] = 0.5,
        kinds: list[str] | None = None,
        strict: bool = False,
    ) -> dict[str, Any]:
        return {"added": limit, "kinds": kinds, "strict": strict}

    yield
    del metric_registry["added"]


def test_the_folder_holds_the_metrics_that_the_methods_promise() -> None:
    for task_type, names in METRICS.items():
        found = {name for name, entry in metric_registry.items() if task_type in entry.task_types}
        assert found >= names
        assert {name for name in found if metric_registry[name].default} >= names


def test_the_contract_below_sees_every_metric_several_times() -> None:
    assert {name for name, _ in CASES} == set(metric_registry)
    assert len(CASES) >= 3 * len(metric_registry)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_metric_returns_plain_values_twice_the_same_and_leaves_its_input_alone(name: str, kind: str) -> None:
    outcome = copy.deepcopy(OUTCOMES[kind])
    first = compute_metrics(outcome, [name], {})
    second = compute_metrics(outcome, [name], {})
    assert_plain(first)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert second == first
    np.testing.assert_equal(vars(outcome), vars(OUTCOMES[kind]))


@pytest.mark.parametrize("name", list(metric_registry))
def test_a_metric_bears_its_registered_name_and_a_docstring(name: str) -> None:
    entry = metric_registry[name]
    assert entry.name == name
    assert entry.function.__doc__


@pytest.mark.parametrize("kind", list(OUTCOMES))
def test_no_names_means_all_defaults_of_the_task_type(kind: str, added_metric: None) -> None:
    outcome = OUTCOMES[kind]
    names = [name for name, entry in metric_registry.items() if outcome.task_type in entry.task_types and entry.default]
    assert compute_metrics(outcome, None, {}) == compute_metrics(outcome, names, {})
    assert "added" not in compute_metrics(outcome, None, {})
    assert compute_metrics(outcome, [], {}) == {}


def test_a_metric_is_given_the_arguments_that_it_declares_and_no_others(added_metric: None) -> None:
    results = compute_metrics(OUTCOMES["scored labels"], ["added", "ece"], {"bins": 3, "strict": True, "limit": 1})
    assert results["added"] == 1
    assert results["strict"] is True
    assert len(results["reliability"]) == 3


def test_two_metrics_with_the_same_result_are_refused() -> None:
    @metric("again", task_type="classification")
    def again(outcome: ClassificationOutcome) -> dict[str, Any]:
        return {"accuracy": 1.0}

    try:
        with pytest.raises(SftError, match=r"'again' returns \['accuracy'\]"):
            compute_metrics(OUTCOMES["scored labels"], ["accuracy", "again"], {})
    finally:
        del metric_registry["again"]


def test_an_argument_without_a_default_is_refused_when_the_metric_is_made() -> None:
    def needy(outcome: ClassificationOutcome, *, limit: int) -> dict[str, Any]:
        return {}

    with pytest.raises(SftError, match="argument 'limit' of the metric 'needy' has no annotation or no default"):
        Metric("needy", ("classification",), needy)


def test_an_outcome_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="no test rows"):
        compute_metrics(GenerationOutcome([], []), None, {})


def test_a_wrong_choice_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(ConfigError, match="2 problems") as caught:
        compute_metrics(OUTCOMES["texts"], ["blue"], {"bins": 3})
    assert [problem.key for problem in caught.value.problems] == ["evaluation.metrics[0]", "evaluation.bins"]


NOT_KNOWN = "no metric takes this argument"
NOT_CHOSEN = (
    "no chosen metric takes this argument (fix: add a metric that takes it to evaluation.metrics ({}), or remove it)"
)
ACCEPTED: list[tuple[str, list[str] | None, dict[str, Any]]] = [
    ("classification", None, {}),
    ("generation", None, {}),
    ("classification", None, {"bins": 10}),
    ("classification", [], {}),
    ("generation", None, {"tokenizer_name": "gpt2", "use_stemmer": True}),
    ("generation", ["bleu"], {"tokenizer_name": None}),
    ("classification", ["added"], {"limit": 1, "kinds": ["x"], "strict": False}),
]
REFUSED: list[tuple[str, list[str] | None, dict[str, Any], str]] = [
    ("classification", ["acuracy"], {}, "metrics[0]: unknown metric 'acuracy' (fix: did you mean 'accuracy'?)"),
    ("generation", ["chrf", "zzz"], {}, "metrics[1]: unknown metric 'zzz' (fix: known: bleu, chrf, exact_match, "),
    ("generation", ["f1"], {}, "metrics[0]: 'f1' is a metric for classification, and dataset.task_type is generation"),
    ("generation", ["bleu", "chrf", "bleu"], {}, "metrics[2]: names 'bleu' a second time"),
    ("classification", ["f1"], {"bins": 3}, f"bins: {NOT_CHOSEN.format('ece')}"),
    ("generation", ["chrf"], {"tokenizer_name": "x"}, f"tokenizer_name: {NOT_CHOSEN.format('bleu, rouge')}"),
    ("classification", None, {"tokenizer_name": "x"}, "tokenizer_name: no metric for classification takes this"),
    ("generation", None, {"use_stemer": True}, f"use_stemer: {NOT_KNOWN} (fix: did you mean 'use_stemmer'?)"),
    ("generation", None, {"metric": ["bleu"]}, f"metric: {NOT_KNOWN} (fix: did you mean 'metrics'?)"),
    (
        "generation",
        None,
        {"zzz": 1},
        f"zzz: {NOT_KNOWN} (fix: known: answer_pattern, metrics, tokenizer_name, use_stemmer)",
    ),
    ("generation", None, {"answer_pattern": "#### ("}, "answer_pattern: got "),
    (
        "generation",
        ["chrf"],
        {"answer_pattern": "x"},
        f"answer_pattern: {NOT_CHOSEN.format('exact_match, no_answer, token_f1')}",
    ),
    ("classification", None, {"bins": 0}, "bins: got 0: must be > 0"),
    ("classification", None, {"bins": "15"}, 'bins: got "15": must be an integer'),
    ("classification", None, {"bins": 1.5}, "bins: got 1.5: must be an integer"),
    ("classification", None, {"bins": True}, "bins: got true: must be an integer"),
    ("generation", None, {"use_stemmer": 1}, "use_stemmer: got 1: must be true or false"),
    ("generation", None, {"tokenizer_name": 3}, "tokenizer_name: got 3: must be a text"),
    ("classification", ["added"], {"limit": -1}, "limit: got -1: must be >= 0"),
    ("classification", ["added"], {"kinds": ["x", 1]}, "kinds: got 1: must be a text"),
]


@pytest.mark.parametrize(("task_type", "names", "arguments"), ACCEPTED)
def test_a_choice_that_fits_has_no_problem(
    task_type: str, names: list[str] | None, arguments: dict[str, Any], added_metric: None
) -> None:
    assert check_metrics(task_type, names, arguments) == []


@pytest.mark.parametrize(("task_type", "names", "arguments", "expected"), REFUSED)
def test_a_choice_that_does_not_fit_has_one_problem_that_says_what_to_do(
    task_type: str, names: list[str] | None, arguments: dict[str, Any], expected: str, added_metric: None
) -> None:
    problems = check_metrics(task_type, names, arguments)
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"evaluation.{expected}")


def test_all_problems_are_reported_together_and_a_misspelt_metric_draws_no_second_one() -> None:
    problems = check_metrics("generation", ["blue", "f1"], {"tokenizer_name": "x", "bins": 2, "use_stemmer": "yes"})
    keys = ["evaluation.metrics[0]", "evaluation.metrics[1]", "evaluation.bins", "evaluation.use_stemmer"]
    assert [problem.key for problem in problems] == keys


def test_checking_a_config_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from sft.evaluation.metrics import check_metrics\n"
        "assert check_metrics('generation', None, {'tokenizer_name': 'gpt2'}) == []\n"
        "assert check_metrics('classification', ['blue'], {'bins': 2})\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'sacrebleu', 'rouge_score', 'nltk'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
