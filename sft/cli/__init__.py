"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

# ruff: noqa: F401, I001  # each module adds its commands, in the order in which `--help` lists them
from __future__ import annotations

from sft.cli.app import app, main
from sft.cli import init
from sft.cli import runs
from sft.cli import sweep
from sft.cli import curve
from sft.cli import results
from sft.cli import report
from sft.cli import config
from sft.cli import model
from sft.cli import doctor
from sft.cli import export_lm_eval

__all__ = ["app", "main"]
