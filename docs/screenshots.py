"""The pictures of docs/report.md: `python docs/screenshots.py REPORT.html [CHROMIUM]`.

The report is that of: sft curve etc/quickstart/curve.jsonnet --shots 0,4,16 --seeds 3
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
_COLOURS = 256


class Picture(NamedTuple):
    """start: the element at the top of the picture."""

    name: str
    width: int
    height: int
    scheme: str
    start: str


PICTURES = (
    Picture("report-desktop", 1280, 1250, "light", "body"),
    Picture("report-run-dark", 1280, 1400, "dark", "#details"),
    Picture("report-phone", 390, 1500, "light", "#curves"),
)


def main(report: Path, chromium: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in PICTURES:
            taken = Image.open(io.BytesIO(_taken(browser, report, picture)))
            path = IMAGES / f"{picture.name}.png"
            taken.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            print(path, path.stat().st_size)


def _taken(browser: Any, report: Path, picture: Picture) -> bytes:
    size = {"width": picture.width, "height": picture.height}
    with browser.new_context(viewport=size, color_scheme=picture.scheme) as context:
        page = context.new_page()
        page.goto(report.resolve().as_uri())
        last = page.locator("#choose-run option").last.get_attribute("value")
        page.select_option("#choose-run", last)
        page.wait_for_selector(f"#{last} figure svg")
        page.wait_for_timeout(500)  # charts appear one after the other
        top = page.locator(picture.start).bounding_box()["y"]
        clip = {"x": 0, "y": top, "width": picture.width, "height": picture.height}
        return bytes(page.screenshot(full_page=True, clip=clip))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else shutil.which("chromium") or "chromium")
