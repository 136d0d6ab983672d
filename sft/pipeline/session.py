"""What a process keeps from one run to the next: a base model, and the rows of a data set."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from sft.config.files import data_stamps
from sft.config.schema import ExperimentConfig
from sft.data.example import TaskData
from sft.data.load import load_task
from sft.logs import remembering, say_again
from sft.models.base_models import BaseModels
from sft.models.load import LoadedModel
from sft.models.source import ModelSource

_READ_OF_PROMPTING = {"input_columns", "output_column", "output_columns", "output_schema"}


class RecentData:
    """The rows of the last data set, as long as its files are the same."""

    def __init__(self) -> None:
        self._key: tuple[str, ...] = ()
        self._data: TaskData | None = None
        self._said: list[logging.LogRecord] = []

    def get(self, config: ExperimentConfig) -> TaskData:
        key = (
            config.dataset.model_dump_json(exclude={"shots", "max_n_test"}),
            config.prompting.model_dump_json(include=_READ_OF_PROMPTING),
            str(data_stamps(config)),
        )
        if self._data is not None and self._key == key:
            say_again(self._said)
            return self._data
        self._data = None  # before the next is read
        with remembering() as self._said:
            self._data, self._key = load_task(config), key
        return self._data


class Session:
    """Runs that share one don't load again what they have in common. For one run at a time."""

    def __init__(self) -> None:
        self.models = BaseModels()
        self.data = RecentData()

    def model(self, config: ExperimentConfig, source: ModelSource) -> AbstractContextManager[LoadedModel]:
        return self.models.use(config.model, source)
