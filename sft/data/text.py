"""Values of a data set → the text that prompts show."""

from __future__ import annotations

from typing import Any


def clean(value: Any) -> str:
    """The text of a value: None is empty, line ends are "\\n", no white space around it."""
    text = "" if value is None else str(value)
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
