"""The harness's own command line, run in this process, and what it left."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class HarnessResult(NamedTuple):
    """metrics: of the only task. samples: by row number."""

    metrics: dict[str, Any]
    samples: list[dict[str, Any]]

    @property
    def log_likelihoods(self) -> list[list[float]]:
        """[rows][choices], in the order of row numbers."""
        return [[float(response[0]) for response in sample["filtered_resps"]] for sample in self.samples]


def run_command(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> HarnessResult:
    """Run a command of an exported README in the exported folder."""
    import lm_eval.tasks

    words = [word for word in shlex.split(command) if not word.startswith("HF_")]
    if words[0] == "lm_eval":
        from lm_eval.__main__ import cli_evaluate as main
    else:
        from sft.lm_eval.__main__ import main

        assert words[:3] == ["python", "-m", "sft.lm_eval"]
        words = words[2:]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    # Thousands of its own tasks aren't indexed, which takes seconds.
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", partial(lm_eval.tasks.TaskManager, include_defaults=False))
    with _logging_as_before(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the harness's and its libraries'
        main()
    (results,) = folder.glob("results/*/results_*.json")
    (samples,) = folder.glob("results/*/samples_*.jsonl")
    ((_, metrics),) = json.loads(results.read_text(encoding="utf-8"))["results"].items()
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    return HarnessResult(metrics, sorted(rows, key=lambda row: row["doc"]["row"]))


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """The harness sets up the root logger."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
