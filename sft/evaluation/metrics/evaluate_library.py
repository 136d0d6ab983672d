"""Metrics of Hugging Face's `evaluate` library, from local scripts: `evaluate:PATH`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sft.errors import MissingPackageError, Problem, SftError
from sft.evaluation.metrics.base import Metric, MetricSource, metric_sources
from sft.evaluation.outcome import (
    ClassificationOutcome,
    GenerationOutcome,
    MultilabelOutcome,
    MultipleChoiceOutcome,
    Outcome,
    StructuredOutcome,
)

SOURCE, _ARGUMENTS = "evaluate", "evaluate_args"


class EvaluateLibrary(MetricSource):
    """A name is the path of a metric's script, or of a folder with a script of the same name in it. Its code is run."""

    argument = _ARGUMENTS

    def metric(self, what: str) -> Metric:
        task_types = (ClassificationOutcome.task_type, MultipleChoiceOutcome.task_type, GenerationOutcome.task_type)

        def compute(outcome: Outcome, *, evaluate_args: dict[str, dict[str, Any]] = _NO_ARGUMENTS) -> dict[str, Any]:
            return results_of(outcome, Path(what), evaluate_args.get(what, {}))

        return Metric(f"{SOURCE}:{what}", task_types, compute)

    def problems(self, key: str, what: str) -> list[Problem]:
        path = Path(what)
        script = path / f"{path.name}.py" if path.is_dir() else path
        if script.is_file() and script.suffix == ".py":
            return []
        fix = "give the path of a metric's folder (with a script of the same name in it) or of its script"
        return [Problem(key, f"no script {str(script)!r} (working directory: {Path.cwd()})", fix)]

    def argument_problems(self, key: str, given: Any) -> list[Problem]:
        names = [name for name in ("predictions", "references") if isinstance(given, Mapping) and name in given]
        return [Problem(f"{key}.{name}", "is what the run gives", "remove it") for name in names]


_NO_ARGUMENTS: dict[str, dict[str, Any]] = {}


def results_of(outcome: Outcome, path: Path, arguments: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among the metric's results, as `<name of the script>.<name of the result>`.

    The metric gets of chosen answers their indices (of labels, or of each row's candidates; -1 for an answer that names
    no label), or their texts if it declares texts; of generated ones the texts, with lists of references if it declares
    lists. Raises `SftError` for a metric that fails, wants one reference where a row has several, or gives no number.
    """
    loaded = _load(path)
    inputs = _inputs(outcome, loaded.features, path)
    try:
        results = loaded.compute(predictions=inputs.predictions, references=inputs.references, **arguments)
    except Exception as error:  # a metric may raise anything
        raise _failed(path, error, f"see its own description; arguments go into evaluation.{_ARGUMENTS}") from error
    numbers = {name: float(value) for name, value in (results or {}).items() if _is_number(value)}
    if not numbers:
        raise SftError(f"the metric {str(path)!r} gives no number: {results!r}", "use another metric")
    return {f"{path.stem}.{name}": value for name, value in numbers.items()}


class _Inputs(NamedTuple):
    predictions: Sequence[Any]
    references: Sequence[Any]


def _load(path: Path) -> Any:
    try:
        import evaluate
    except ImportError as error:
        raise MissingPackageError(
            "evaluate", f"evaluation.metrics: {SOURCE}:{path}", 'pip install "supervised-finetuning[evaluate]"'
        ) from error
    try:
        # In memory: runs of a sweep would meet in the library's files otherwise.
        return evaluate.load(str(path.resolve()), keep_in_memory=True)
    except Exception as error:  # a script may raise anything
        raise _failed(path, error, "see what the script needs") from error


def _inputs(outcome: Outcome, features: Any, path: Path) -> _Inputs:
    """In the first of the forms that the metric declares which fits."""
    forms: list[Mapping[str, Any]] = list(features) if isinstance(features, list) else [features]
    if isinstance(outcome, MultilabelOutcome):
        return _Inputs(outcome.predictions.astype(int).tolist(), outcome.references.astype(int).tolist())
    if isinstance(outcome, StructuredOutcome):
        outcome = GenerationOutcome([[reference] for reference in outcome.references], outcome.predictions)
    if not isinstance(outcome, GenerationOutcome):
        if any(getattr(form["predictions"], "dtype", None) != "string" for form in forms):
            return _Inputs(outcome.predictions.tolist(), outcome.references.tolist())
        return _Inputs(*(_texts(outcome, indices.tolist()) for indices in (outcome.predictions, outcome.references)))
    if any(not isinstance(getattr(form["references"], "dtype", None), str) for form in forms):
        return _Inputs(outcome.predictions, outcome.references)
    most = max(map(len, outcome.references))
    if most > 1:
        raise SftError(
            f"the metric {str(path)!r} takes one reference a row, and a test row has {most}",
            "use a metric that takes lists of references, or data with one reference a row",
        )
    return _Inputs(outcome.predictions, [references[0] for references in outcome.references])


def _texts(outcome: ClassificationOutcome | MultipleChoiceOutcome, indices: Sequence[int]) -> list[str]:
    """ "" for an answer that names no label."""
    if isinstance(outcome, ClassificationOutcome):
        return [outcome.labels[i] if i >= 0 else "" for i in indices]
    return [texts[i] for texts, i in zip(outcome.candidates, indices, strict=True)]


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _failed(path: Path, error: Exception, fix: str) -> SftError:
    return SftError(f"the metric {str(path)!r} fails: {type(error).__name__}: {error}", fix)


metric_sources[SOURCE] = EvaluateLibrary()
