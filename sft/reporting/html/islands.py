"""Values for the page's scripts, as JSON that can't end the element that holds it."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

# "<" begins the end tag; "&" and ">" matter to readers of XML, the separators end lines of JavaScript.
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def island(value: Any) -> Markup:
    """The value for a `<script type="application/json">`. Raises `ValueError` for what JSON lacks (NaN)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPED))  # nothing in it can be markup any more
