"""The errors that a user of `sft` can cause: each says what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class SftError(Exception):
    """A mistake that the user can mend; the command line prints it without a traceback and exits with code 2."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n  fix: {hint}")
        self.message = message
        self.hint = hint


class Problem(NamedTuple):
    """One thing wrong with a config: the dotted key (empty for the whole file), what, and what to do about it."""

    key: str
    message: str
    fix: str | None = None

    def __str__(self) -> str:
        text = f"{self.key}: {self.message}" if self.key else self.message
        return text if self.fix is None else f"{text} (fix: {self.fix})"


class ConfigError(SftError):
    """Everything wrong with one config, reported together."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{source}: {count}\n{lines}")
        self.source = source
        self.problems = list(problems)


class DataError(SftError):
    """A data set, split, column or label is missing or doesn't fit the config."""


class ModelError(SftError):
    """A model, tokenizer, adapter or checkpoint can't be loaded or used as asked."""


class PromptError(SftError):
    """A prompt can't be rendered or can't fit its limit."""


class TrainingError(SftError):
    """Training can't start or would be meaningless."""


class DivergedError(TrainingError):
    """The loss or the trained weights stopped being numbers."""


class NotANumberError(ModelError):
    """A model gives scores that are no numbers."""


class MissingPackageError(SftError):
    """An optional package is needed for what the config asks."""

    def __init__(self, package: str, needed_for: str, install: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}, which is not installed", install)
