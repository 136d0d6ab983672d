"""From a config to the rows of a run and its identity, before any model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sft.calibration.enough_rows import check_enough_rows
from sft.config.identity import run_id
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet, TaskData
from sft.data.load import fingerprint, load_task, load_unlabelled
from sft.data.random_words import random_word_inputs
from sft.data.sampling import InContextExamples, Purpose, label_pool, select_test
from sft.distributed import world_size
from sft.pipeline.canonical import canonical_config
from sft.pipeline.conclude import make_calibration, needs_of

logger = logging.getLogger(__name__)


class UnlabelledFile(NamedTuple):
    """The inputs of a file that a calibration reads."""

    path: str
    examples: list[Example]
    fingerprint: str


@dataclass(frozen=True)
class Prepared:
    """The rows of a run: what it may learn from (`pool`) and what it is judged on (`test`).

    unlabelled: the file that the config's calibration reads, if it reads one.
    """

    config: ExperimentConfig
    data: TaskData
    pool: list[Example]
    test: list[Example]
    unlabelled: UnlabelledFile | None = None

    @property
    def labels(self) -> LabelSet | None:
        return self.data.labels

    def run_id(self, *, trains: bool, checkpoint_fingerprint: str | None = None) -> str:
        return run_id(
            self.config,
            self.data.fingerprint,
            trains=trains,
            checkpoint_fingerprint=checkpoint_fingerprint,
            unlabelled_fingerprint=None if self.unlabelled is None else self.unlabelled.fingerprint,
            processes=world_size(),
        )

    def check_calibration(self, n_rows: int) -> None:
        """Raises `SftError` where `n_rows` to answer, or the rows of the file, are too few for the calibration."""
        spec = self.config.inference_or_default.calibration
        if spec is not None:
            file_rows = len(self.unlabelled.examples) if self.unlabelled else 0
            check_enough_rows(make_calibration(spec), test_rows=n_rows, file_rows=file_rows)

    def training_examples(self) -> InContextExamples:
        """The in-context examples of training prompts."""
        return _warned(self._in_context(self.config.training.icl_examples if self.config.training else 0, "training"))

    def inference_examples(self) -> InContextExamples:
        """The in-context examples of test prompts."""
        return _warned(self._in_context(self.config.inference_or_default.icl_examples, "inference"))

    def calibration_examples(self) -> InContextExamples:
        """The in-context examples of prompts of the shots themselves: as of test prompts, without the shot.

        Whoever plans to score the shots passes on what there is to warn of.
        """
        return self._in_context(self.config.inference_or_default.icl_examples, "calibration")

    def held_out_examples(self) -> InContextExamples:
        """The in-context examples of prompts of shots that aren't in the pool: as of test prompts."""
        return _warned(self._in_context(self.config.inference_or_default.icl_examples, "held-out"))

    def random_inputs(self, count: int) -> list[dict[str, str]]:
        """Inputs of random words of the training split."""
        columns = self.config.prompting.input_columns
        return random_word_inputs(self.data.train, columns, count, self.config.seed_for("icl"))

    def counts(self) -> dict[str, Any]:
        """What a record says of the rows."""
        return {
            "train_rows": len(self.data.train),
            "test_rows_available": len(self.data.test),
            "test_rows": len(self.test),
            "pool_rows": len(self.pool),
            "label_budget": self._label_budget(),
        }

    def data_report(self) -> dict[str, Any]:
        return {
            "fingerprint": self.data.fingerprint,
            "labels": None if self.labels is None else list(self.labels.names),
            "verbalisations": None if self.labels is None else list(self.labels.verbalisations),
            "train_test_duplicates": self.data.duplicates,
            "duplicates_dropped": self.data.duplicates_dropped,
            "pool_row_numbers": [example.row for example in self.pool],
            "test_row_numbers": [example.row for example in self.test],
        }

    def _in_context(self, per_group: int, purpose: Purpose) -> InContextExamples:
        return InContextExamples(
            self.pool,
            self.labels,
            per_group,
            purpose=purpose,
            sampling=self.config.prompting.icl_sampling,
            seed=self.config.seed_for("icl"),
        )

    def _label_budget(self) -> dict[str, int] | int:
        if self.labels is None:
            return len(self.pool)
        return {name: sum(e.has(i) for e in self.pool) for i, name in enumerate(self.labels.names)}


def prepare(config: ExperimentConfig, load: Callable[[ExperimentConfig], TaskData] = load_task) -> Prepared:
    """Load the data and choose the rows. Raises `DataError` for whatever is missing.

    The config of what is prepared, and so of records, is the canonical one.
    """
    config = canonical_config(config)
    data = load(config)
    return Prepared(
        config=config,
        data=data,
        pool=label_pool(data.train, data.labels, config),
        test=select_test(data.test, data.labels, config.dataset.max_n_test),
        unlabelled=_unlabelled(config),
    )


def _warned(shown: InContextExamples) -> InContextExamples:
    for warning in shown.warnings:
        logger.warning("%s", warning)
    return shown


def _unlabelled(config: ExperimentConfig) -> UnlabelledFile | None:
    for needs in needs_of(config.inference_or_default):
        if needs.unlabelled is not None:
            key = "inference.calibration.args.unlabelled_path"
            examples, _ = load_unlabelled(needs.unlabelled, config, key)
            return UnlabelledFile(needs.unlabelled, examples, fingerprint([examples], None))
    return None
