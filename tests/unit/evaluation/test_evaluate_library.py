"""Metrics of the `evaluate` library from local scripts."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.files import input_stamps
from sft.errors import MissingPackageError, SftError
from sft.evaluation.metrics import check_metrics, compute_metrics
from sft.evaluation.outcome import ClassificationOutcome, GenerationOutcome, MultipleChoiceOutcome
from tests.fakes import make_config

pytest.importorskip("evaluate", reason="evaluate is not installed")

SCRIPT = """
import datasets
import evaluate


class Mine(evaluate.Metric):
    def _info(self):
        features = {features}
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references, scale=1):
        {body}
"""
INTEGERS = 'datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")})'
TEXTS = INTEGERS.replace("int32", "string")
LISTS = TEXTS.replace('"references": datasets.Value("string")', '"references": datasets.List(datasets.Value("string"))')
SEEN = (
    'return {"first": scale * (predictions[0] == references[0]), "rows": len(predictions), "seen": repr(predictions)}'
)

LABELLED = ClassificationOutcome(("no", "yes"), np.array([0, 1, 1]), np.array([0, 0, -1]))
CHOSEN = MultipleChoiceOutcome([["a", "b"], ["c", "d"]], np.array([1, 1]), np.array([1, 0]), np.full((2, 2), 0.5))
GENERATED = GenerationOutcome([["a cat"], ["dogs"]], ["a cat", "a dog"])
SEVERAL = GenerationOutcome([["a cat", "the cat"], ["dogs"]], ["the cat", "a dog"])


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The library copies scripts into a folder of modules before it imports them."""
    folder = str(tmp_path_factory.mktemp("modules"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", folder)
        patch.syspath_prepend(folder)
        yield


def script(folder: Path, name: str, features: str, body: str) -> str:
    """A metric's folder; returns its path."""
    (folder / name).mkdir()
    text = SCRIPT.replace("{features}", features).replace("{body}", body)
    (folder / name / f"{name}.py").write_text(text, encoding="utf-8")
    return str(folder / name)


def results(outcome: Any, path: str, **arguments: Any) -> dict[str, Any]:
    return compute_metrics(outcome, [f"evaluate:{path}"], arguments)


def test_the_numbers_of_a_local_metric_stand_under_its_name_and_its_arguments_reach_it(tmp_path: Path) -> None:
    path = script(tmp_path, "firsts", INTEGERS, SEEN)
    assert results(LABELLED, path) == {"firsts.first": 1.0, "firsts.rows": 3.0}
    assert results(LABELLED, f"{path}/firsts.py") == {"firsts.first": 1.0, "firsts.rows": 3.0}
    scaled = results(LABELLED, path, evaluate_args={path: {"scale": 5}})
    assert scaled["firsts.first"] == 5.0
    both = compute_metrics(LABELLED, ["accuracy", f"evaluate:{path}"], {})
    assert both == {"accuracy": pytest.approx(1 / 3), "firsts.first": 1.0, "firsts.rows": 3.0}


@pytest.mark.parametrize(
    ("outcome", "features", "predictions", "references"),
    [
        (LABELLED, INTEGERS, [0, 0, -1], [0, 1, 1]),
        (LABELLED, TEXTS, ["no", "no", ""], ["no", "yes", "yes"]),
        (CHOSEN, INTEGERS, [1, 0], [1, 1]),
        (CHOSEN, TEXTS, ["b", "c"], ["b", "d"]),
        (GENERATED, TEXTS, ["a cat", "a dog"], ["a cat", "dogs"]),
        (GENERATED, LISTS, ["a cat", "a dog"], [["a cat"], ["dogs"]]),
        (SEVERAL, LISTS, ["the cat", "a dog"], [["a cat", "the cat"], ["dogs"]]),
        (SEVERAL, f"[{TEXTS}, {LISTS}]", ["the cat", "a dog"], [["a cat", "the cat"], ["dogs"]]),
    ],
)
def test_a_metric_gets_what_it_declares(
    outcome: Any, features: str, predictions: list[Any], references: list[Any], tmp_path: Path
) -> None:
    body = f"return {{'same': float((predictions, references) == ({predictions!r}, {references!r}))}}"
    path = script(tmp_path, f"m{abs(hash((features, repr(outcome))))}", features, body)
    assert list(results(outcome, path).values()) == [1.0]


@pytest.mark.parametrize(
    ("outcome", "features", "body", "message"),
    [
        (SEVERAL, TEXTS, "return {'x': 1}", "takes one reference a row, and a test row has 2"),
        (GENERATED, TEXTS, "return 1 / 0", "fails: ZeroDivisionError: division by zero"),
        (GENERATED, "no_such_name", "return {'x': 1}", "fails: NameError: name 'no_such_name' is not defined"),
        (GENERATED, TEXTS, "return {'text': 'a', 'list': [1.0], 'flag': True}", "gives no number"),
    ],
)
def test_a_metric_that_cannot_serve_is_named_with_the_cause(
    outcome: Any, features: str, body: str, message: str, tmp_path: Path
) -> None:
    path = script(tmp_path, f"bad{abs(hash((features, body)))}", features, body)
    with pytest.raises(SftError, match=re.escape(message)) as caught:
        results(outcome, path)
    assert path in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("task_type", ["classification", "multiple_choice", "generation"])
def test_a_config_is_checked_without_running_the_script(task_type: str, tmp_path: Path) -> None:
    path = script(tmp_path, "broken", "1 / 0", "1 / 0")
    assert check_metrics(task_type, [f"evaluate:{path}"], {"evaluate_args": {path: {"scale": 2}}}) == []
    (absent,) = check_metrics(task_type, [f"evaluate:{tmp_path}/absent"], {})
    assert str(absent).startswith(f"evaluation.metrics[0]: no script '{tmp_path}/absent'")
    (owned,) = check_metrics(task_type, [f"evaluate:{path}"], {"evaluate_args": {path: {"references": []}}})
    assert owned.message == "is what the run gives"
    (unused,) = check_metrics(task_type, [], {"evaluate_args": {}})
    assert unused.key == "evaluation.evaluate_args"
    (repeated,) = check_metrics(task_type, [f"evaluate:{path}"] * 2, {})
    assert "a second time" in repeated.message
    (other,) = check_metrics(task_type, [f"evaluate:{path}"], {"evaluate_args": {"elsewhere": {}}})
    assert str(other).startswith("evaluation.evaluate_args: names no chosen metric: 'elsewhere'")


def test_a_script_is_among_the_files_that_a_run_read(tmp_path: Path) -> None:
    path = script(tmp_path, "mine", INTEGERS, SEEN)
    config = make_config(evaluation={"metrics": ["accuracy", f"evaluate:{path}"]})
    assert str(Path(path, "mine.py").resolve()) in input_stamps(config)


def test_without_the_library_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = script(tmp_path, "mine", INTEGERS, SEEN), builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "evaluate":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"supervised-finetuning\[evaluate\]"):
        results(LABELLED, path)
