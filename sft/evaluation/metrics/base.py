"""What a metric is, and how the metrics that a config names are checked and computed."""

from __future__ import annotations

import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from sft.config.problems import problems_of
from sft.config.schema import TaskType
from sft.errors import ConfigError, DataError, Problem, SftError
from sft.evaluation.outcome import Outcome
from sft.evaluation.row_sums import RowSums
from sft.registry import Registry, unknown_name_fix

MetricFunction = TypeVar("MetricFunction", bound=Callable[..., dict[str, Any]])


@dataclass(frozen=True)
class Metric:
    """A named function of an outcome.

    function: takes the outcome of its task types, and its arguments as keyword-only parameters, each with an annotation
    (config values are checked against it) and a default. It returns what goes into the record's results: plain Python
    numbers and texts, and lists and dicts of them; nothing ({}) where the outcome lacks what the metric needs.
    default: whether it is computed when a config names no metrics. row_sums: how the results follow from sums over
    rows, where they do: without it there is no interval over test rows and no paired test. lower_is_better: of all its
    results.
    """

    name: str
    task_types: tuple[TaskType, ...]
    function: Callable[..., dict[str, Any]]
    default: bool = False
    row_sums: RowSums | None = None
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        for parameter in self._keyword_parameters:
            if parameter.annotation is parameter.empty or parameter.default is parameter.empty:
                raise SftError(
                    f"argument {parameter.name!r} of the metric {self.name!r} has no annotation or no default",
                    f"write `{parameter.name}: type = default`",
                )

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """Declared arguments → their annotations, evaluated."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        return {parameter.name: hints[parameter.name] for parameter in self._keyword_parameters}

    @property
    def _keyword_parameters(self) -> list[inspect.Parameter]:
        parameters = inspect.signature(self.function).parameters.values()
        return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


metric_registry: Registry[Metric] = Registry("metric")


class MetricSource(ABC):
    """Where metrics come from that a config names as `source:what`. Registered under the source's name.

    argument: of its metrics, in which a config gives each its own arguments by `what`.
    """

    argument: str

    @abstractmethod
    def metric(self, what: str) -> Metric:
        """Made anew by every call; nothing heavy is imported before the metric is computed."""

    @abstractmethod
    def problems(self, key: str, what: str) -> list[Problem]:
        """What is wrong with such a name, which stands under `key`."""

    def argument_problems(self, key: str, given: Any) -> list[Problem]:
        """What is wrong with the arguments of one metric, which stand under `key`."""
        return []


metric_sources: Registry[MetricSource] = Registry("source of metrics")


def metric(
    name: str,
    *,
    task_type: TaskType | tuple[TaskType, ...],
    default: bool = False,
    row_sums: RowSums | None = None,
    lower_is_better: bool = False,
) -> Callable[[MetricFunction], MetricFunction]:
    """Register the decorated function as a metric; the function itself is left as it is.

    task_type: one, or all whose outcomes the function takes.
    """
    task_types = (task_type,) if isinstance(task_type, str) else task_type

    def register(function: MetricFunction) -> MetricFunction:
        metric_registry[name] = Metric(name, task_types, function, default, row_sums, lower_is_better)
        return function

    return register


def compute_metrics(outcome: Outcome, names: Sequence[str] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The results of the named metrics, merged; each metric is given those of the arguments that it declares.

    names: None means all defaults of the outcome's task type. Raises ConfigError for what `check_metrics` finds and
    DataError where there are no rows.
    """
    task_type = outcome.task_type
    problems = check_metrics(task_type, names, arguments)
    if problems:
        raise ConfigError("evaluation", problems)
    assert len(outcome.references) == len(outcome.predictions)
    if len(outcome.references) == 0:
        raise DataError("there are no test rows to evaluate", "check the test split and dataset.max_n_test")
    results: dict[str, Any] = {}
    for chosen in chosen_metrics(task_type, names):
        own = {name: value for name, value in arguments.items() if name in chosen.arguments}
        values = chosen.function(outcome, **own)
        taken = sorted(values.keys() & results.keys())
        if taken:
            raise SftError(f"the metric {chosen.name!r} returns {taken}, which another metric returned already")
        results.update(values)
    return results


def check_metrics(task_type: str, names: Sequence[str] | None, arguments: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a config's choice of metrics and with their arguments; imports nothing heavy.

    Where a name is wrong, nobody knows which metric was meant: arguments are then checked against all of the task type.
    """
    problems = _check_names(task_type, names or ())
    of_sources = [made for name in names or () if (made := _from_source(name)) is not None]
    metrics = [*_metrics_for(task_type), *of_sources] if problems else chosen_metrics(task_type, names)
    problems += _check_arguments_of_sources(names or (), arguments)
    for name, value in arguments.items():
        takers = [metric for metric in metrics if name in metric.arguments]
        problems += _check_value(name, value, takers) if takers else [_unused_argument(name, task_type)]
    return problems


def _metrics_for(task_type: str) -> list[Metric]:
    return [metric for metric in metric_registry.values() if task_type in metric.task_types]


def chosen_metrics(task_type: str, names: Sequence[str] | None) -> list[Metric]:
    """The metrics with these names; without names, the defaults of the task type."""
    if names is None:
        return [metric for metric in _metrics_for(task_type) if metric.default]
    return [_from_source(name) or metric_registry[name] for name in names]


def _from_source(name: str) -> Metric | None:
    source, colon, what = name.partition(":")
    return metric_sources[source].metric(what) if colon and source in metric_sources else None


def _check_names(task_type: str, names: Sequence[str]) -> list[Problem]:
    known = [metric.name for metric in _metrics_for(task_type)]
    problems = []
    for i, name in enumerate(names):
        key = f"evaluation.metrics[{i}]"
        source, colon, what = name.partition(":")
        if name in names[:i]:
            problems.append(Problem(key, f"names {name!r} a second time", "name each metric once"))
        elif colon and source in metric_sources:
            problems += metric_sources[source].problems(key, what)
        elif name not in metric_registry:
            problems.append(Problem(key, f"unknown metric {name!r}", unknown_name_fix(name, known)))
        elif task_type not in metric_registry[name].task_types:
            of = " and ".join(metric_registry[name].task_types)
            mistake = f"{name!r} is a metric for {of}, and dataset.task_type is {task_type}"
            problems.append(Problem(key, mistake, f"metrics for {task_type}: {', '.join(known)}"))
    return problems


def _check_arguments_of_sources(names: Sequence[str], arguments: Mapping[str, Any]) -> list[Problem]:
    """That arguments of metrics of a source are of chosen ones, and what those say of them."""
    problems = []
    for name, source in metric_sources.items():
        chosen = [each.removeprefix(f"{name}:") for each in names if each.startswith(f"{name}:")]
        given = arguments.get(source.argument)
        for what, own in given.items() if chosen and isinstance(given, Mapping) else ():
            key = f"evaluation.{source.argument}"
            if what in chosen:
                problems += source.argument_problems(f"{key}.{what}", own)
            else:
                fix = unknown_name_fix(str(what), chosen)
                problems.append(Problem(key, f"names no chosen metric: {what!r}", fix))
    return problems


def _check_value(name: str, value: Any, takers: Sequence[Metric]) -> list[Problem]:
    """One problem if the value doesn't fit the annotation of a metric that takes the argument."""
    for taker in takers:
        try:
            TypeAdapter(taker.arguments[name]).validate_python(value, strict=True)
        except ValidationError as error:
            return [problem._replace(key=f"evaluation.{name}") for problem in problems_of(error, value)]
    return []


def _unused_argument(name: str, task_type: str) -> Problem:
    key = f"evaluation.{name}"
    of_task = [metric.name for metric in _metrics_for(task_type) if name in metric.arguments]
    anywhere = [metric.name for metric in metric_registry.values() if name in metric.arguments]
    if of_task:
        fix = f"add a metric that takes it to evaluation.metrics ({', '.join(of_task)}), or remove it"
        return Problem(key, "no chosen metric takes this argument", fix)
    if anywhere:
        return Problem(key, f"no metric for {task_type} takes this argument, only {', '.join(anywhere)}", "remove it")
    known = {"metrics"}.union(*(metric.arguments for metric in _metrics_for(task_type)))
    return Problem(key, "no metric takes this argument", unknown_name_fix(name, known))
