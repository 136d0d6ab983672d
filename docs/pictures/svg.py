"""A few shapes as SVG: narrow, with large type, so that they can be read on a phone, on a light ground of their own."""

from __future__ import annotations

from html import escape

INK, FAINT, GROUND, LINE = "#1f2430", "#5b6272", "#ffffff", "#c3c8d4"
READ, LEARNT, BAR, MOST = "#e3e7f0", "#ffd98a", "#3f6fb5", "#b5533f"
WIDTH = 520
SIZE = 17
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
CHARACTER = 0.602 * SIZE  # the width of a letter of a monospaced font


class Picture:
    """Shapes one after the other. title: what a reader hears who doesn't see the picture."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        mono: bool = False,
        bold: bool = False,
        fill: str = INK,
        end: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        anchor = ' text-anchor="end"' if end else ""
        family = f' font-family="{escape(_MONO)}"' if mono else ""
        place = f'x="{x:.1f}" y="{y:.1f}"'
        self._parts.append(
            f'<text {place} fill="{fill}" xml:space="preserve"{weight}{anchor}{family}>{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, fill: str, *, line: str = "none") -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" fill="{fill}" '
            f'stroke="{line}"/>'
        )

    def line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        self._parts.append(f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{LINE}" stroke-width="2"/>')

    def chip(self, x: float, y: float, text: str, fill: str, *, line: str = "none") -> float:
        """A token in a box; y: of its baseline. Returns where the box ends."""
        width = len(text) * CHARACTER + 10
        self.box(x, y - SIZE - 2, width, SIZE + 10, fill, line=line)
        self.text(x + 5, y, text, mono=True)
        return x + width

    def svg(self, height: float) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-size="{SIZE}" '
            f'font-family="{escape(_SANS)}" role="img" aria-label="{escape(self._title)}">'
        )
        ground = f'<rect width="{WIDTH}" height="{height:.0f}" rx="10" fill="{GROUND}" stroke="{LINE}"/>'
        return "\n".join([head, f"<title>{escape(self._title)}</title>", ground, *self._parts, "</svg>"]) + "\n"


def shown(token: str) -> str:
    """A token's text with its white space visible."""
    return token.replace(" ", "·").replace("\n", "⏎")
