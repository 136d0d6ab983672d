"""The built site: strict, complete, and without anything from other servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.blocks import PAGES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [page.relative_to(REPOSITORY / "docs") for page in PAGES if page.is_relative_to(REPOSITORY / "docs")]
    assert len(pages) > 30
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []


def test_nothing_is_fetched_from_another_server(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:src="|<link [^>]*href=")https?:[^"]*', text) == [], page.name


def test_no_list_table_or_fence_is_left_as_text(site: Path) -> None:
    """GitHub takes lists without a blank line before them, and two spaces of indentation below them; mkdocs doesn't."""
    left = re.compile(r"^(- |\d+\. |\||```)", flags=re.M)
    for page in sorted(site.rglob("*.html")):
        paragraphs = re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), flags=re.S)
        found = [text[:80] for text in paragraphs if left.search(text)]
        assert found == [], f"{page.relative_to(site)}: indent by four spaces, and leave a line empty: {found}"


def test_a_link_to_a_file_of_the_repository_leads_to_it_in_the_site(site: Path) -> None:
    text = (site / "cookbook/cluster.html").read_text(encoding="utf-8")
    (link,) = set(re.findall(r'href="([^"]*cluster\.jsonnet[^"]*)"', text))
    assert "resources" in (site / "cookbook" / link).resolve().read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_a_search_finds_pages_and_no_source_files(site: Path) -> None:
    found = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    places = {entry["location"].partition("#")[0] for entry in found}
    assert {"concepts.html", "source/CONTRIBUTING.html"} <= places
    assert [place for place in places if re.search(r"(py|json|jsonnet|yaml|toml)\.html$", place)] == []
