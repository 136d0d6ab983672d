"""A JSON value for each row: a column's, or an object of several columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft.config.output_schema import as_json_schema
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.json_values import NotJsonError, OutputSchema, parse_json
from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.errors import DataError

if TYPE_CHECKING:
    pass


def output_schema_of(config: ExperimentConfig) -> OutputSchema:
    """The schema of a config for structured answers."""
    assert config.prompting.output_schema is not None
    return OutputSchema(as_json_schema(config.prompting.output_schema))


class Structured(Outputs):
    """References are the values as JSON in one form. Raises `DataError` for a value that the schema doesn't allow."""

    def columns(self, config: ExperimentConfig) -> list[str]:
        return config.prompting.output_columns or super().columns(config)

    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        config = read.config
        schema, columns = output_schema_of(config), self.columns(config)
        found = zip(*(read.rows[column] for column in columns), strict=True)
        examples = []
        for i, (text, values) in enumerate(zip(read.inputs, found, strict=True)):
            if config.prompting.output_columns is None:
                value = _of_column(values[0], schema)
            else:
                value = _of_columns(dict(zip(columns, values, strict=True)), schema)
            problem = schema.problem(value)
            if problem is not None:
                written = schema.canonical(value)[:200]
                raise DataError(
                    f"{read.place(i, ', '.join(columns))}: prompting.output_schema doesn't allow {written}: {problem}",
                    "mend the row, or the schema",
                )
            examples.append(Example(i, text, references=(schema.canonical(value),)))
        return examples


def _of_column(value: Any, schema: OutputSchema) -> Any:
    """A text is read as JSON, unless the schema allows only the text that it is."""
    if not isinstance(value, str):
        return schema.without_absent(value)
    parsed = _parsed(value)
    return value if schema.problem(parsed) is not None and schema.problem(value) is None else parsed


def _of_columns(values: Mapping[str, Any], schema: OutputSchema) -> dict[str, Any]:
    """An object of the columns' values: a text is that text where the schema allows it, else it is read as JSON."""
    found = {}
    for name, value in values.items():
        inner = schema.of_property(name)
        if not isinstance(value, str):
            found[name] = schema.without_absent(value, inner)
        else:
            found[name] = value if schema.allows(value, inner) else _parsed(value)
    return schema.without_absent_keys(found)


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except NotJsonError:
        return text


output_registry["structured"] = Structured()
