"""Metrics of answers that ought to be JSON values of a schema."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.data.json_values import NotJsonError, OutputSchema, parse_json, same_value
from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import StructuredOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except NotJsonError:
        return False
    return True


def _valid_json(outcome: StructuredOutcome) -> NDArray[np.float64]:
    return _column([_is_json(text) for text in outcome.predictions])


_VALID_JSON = mean_over_rows("valid_json", _valid_json)


@metric("valid_json", task_type="structured", default=True, row_sums=_VALID_JSON)
def valid_json(outcome: StructuredOutcome) -> dict[str, Any]:
    """The share of answers that are one JSON value (RFC 8259: NaN and Infinity are none)."""
    return whole(_VALID_JSON, outcome)


def _schema_valid(outcome: StructuredOutcome) -> NDArray[np.float64]:
    schema = OutputSchema(outcome.schema)
    return _column([schema.problem_of_text(text) is None for text in outcome.predictions])


_SCHEMA_VALID = mean_over_rows("schema_valid", _schema_valid)


@metric("schema_valid", task_type="structured", default=True, row_sums=_SCHEMA_VALID)
def schema_valid(outcome: StructuredOutcome) -> dict[str, Any]:
    """The share of answers that are JSON and that the schema allows (`format` is no condition, as is the default of
    JSON Schema 2020-12).
    """
    return whole(_SCHEMA_VALID, outcome)


def _same(prediction: str, reference: str) -> bool:
    return _is_json(prediction) and same_value(parse_json(prediction), parse_json(reference))


def _exact(outcome: StructuredOutcome) -> NDArray[np.float64]:
    return _column([_same(*pair) for pair in zip(outcome.predictions, outcome.references, strict=True)])


_EXACT = mean_over_rows("exact_match", _exact)


@metric("value_match", task_type="structured", default=True, row_sums=_EXACT)
def value_match(outcome: StructuredOutcome) -> dict[str, Any]:
    """`exact_match`: the share of answers that are the value of the reference.

    JSON values are compared, not texts: white space and the order of keys don't matter, 1 and 1.0 are the same, texts
    are compared letter by letter.
    """
    return whole(_EXACT, outcome)


def _column(rows: list[bool]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)[:, None]
