"""What makes the page work without a network: its style, its scripts, and the policy that lets no other script run."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from markupsafe import Markup

from sft.errors import MissingPackageError

_INSTALL = "pip install vl-convert-python"
_END_TAG = re.compile(r"</(script)", re.IGNORECASE)


class Assets(NamedTuple):
    """policy: a Content-Security-Policy. libraries: Vega, Vega-Lite and Vega-Embed. script: the page's own."""

    policy: str
    style: Markup
    libraries: Markup
    script: Markup


@cache
def assets() -> Assets:
    """Raises `MissingPackageError` without vl-convert-python, whose wheel holds the libraries."""
    libraries, script = _libraries(), _static("report.js")
    allowed = " ".join(_hash(text) for text in (libraries, script))
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return Assets(policy, Markup(_static("report.css")), Markup(libraries), Markup(script))


def _libraries() -> str:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingPackageError("vl-convert-python", "a report", _INSTALL) from error
    # Only strings and comments of a script can hold its end tag, and "\/" means "/" in strings.
    return _END_TAG.sub(r"<\\/\1", vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub lacks the default


def _static(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
