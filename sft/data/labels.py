"""The labels of a classification task: from the config, from the column's own names, or from the train split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sft.config.schema import DatasetConfig, ExperimentConfig
from sft.data.example import LabelSet
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def label_set(config: ExperimentConfig, train: Dataset) -> LabelSet:
    """Raises `DataError` for no label, a label named twice, an empty verbalisation, and one of two labels."""
    column = config.prompting.output_column
    values = (value for value in train[column] if value is not None)
    names, verbalisations = named_labels(config.dataset, class_names_of(train, column), values, column)
    return LabelSet(names, verbalisations)


class Named(NamedTuple):
    """The names of labels, and their verbalisations in the same order."""

    names: tuple[str, ...]
    verbalisations: tuple[str, ...]


def named_labels(
    dataset: DatasetConfig, class_names: Sequence[str] | None, values: Iterable[Any], column: str
) -> Named:
    """The labels of the config, else the names of a ClassLabel, else the values.

    Raises `DataError` like `label_set`.
    """
    given = dataset.labels
    if given is not None:
        names = [_class_name(value, class_names) for value in given]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError(f"dataset.labels: the label {repeated[0]!r} is there twice", "name each label once")
        verbalised = dict(zip(names, given.values() if isinstance(given, dict) else names, strict=True))
    elif class_names is not None:
        verbalised = {name: name for name in class_names}
    else:
        verbalised = {value: value for value in sorted(set(map(_text, values)), key=_natural_order)}
    if not verbalised:
        raise DataError(f"the train split's column {column!r} holds no label", "list them in dataset.labels")
    _check_verbalisations(verbalised)
    return Named(tuple(verbalised), tuple(verbalised.values()))


def _class_name(value: str, class_names: Sequence[str] | None) -> str:
    """The name of a ClassLabel value, which a config may give by name or by number."""
    if class_names is None or value in class_names:
        return value
    return class_names[int(value)] if value.isdecimal() and int(value) < len(class_names) else value


def _check_verbalisations(verbalised: Mapping[str, str]) -> None:
    for name, text in verbalised.items():
        if not text.strip():
            raise DataError(f"dataset.labels: the verbalisation of {name!r} is empty", "give it a text")
    repeated = [text for text, count in Counter(text.strip() for text in verbalised.values()).items() if count > 1]
    if repeated:
        names = [name for name, text in verbalised.items() if text.strip() == repeated[0]]
        raise DataError(
            f"dataset.labels: {' and '.join(map(repr, names))} have the same verbalisation {repeated[0]!r}",
            "make the verbalisations different",
        )


def _natural_order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before texts by spelling; "nan" is a text, as it has no place among numbers."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return (0, number, value) if math.isfinite(number) else (1, 0.0, value)


def class_names_of(rows: Dataset, column: str) -> Sequence[str] | None:
    """The names of a column of ClassLabels or of lists of them; None for others."""
    feature = rows.features[column]
    names: Sequence[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def label_name(value: Any, class_names: Sequence[str] | None) -> str:
    """The label that a row's value means: ClassLabel numbers by their names, all else as text."""
    if class_names is not None and isinstance(value, int) and 0 <= value < len(class_names):
        return class_names[value]
    return _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
