"""For mkdocs: pages may link to files of the repository outside docs/, and the site has those files then.

On GitHub `../etc/configs/x.json` leads to the file. The site shows what is short and readable as a page of its own,
under `source/`, and carries the rest along as it is. A link to nothing stays, and mkdocs refuses it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(?<=\]\()([^()\s#]+)(#[^()\s]*)?(?=\))")
_SHOWN = {".json": "json", ".jsonnet": "jsonnet", ".py": "python", ".yaml": "yaml", ".toml": "toml"}
_ROOT = Path(__file__).parents[2]
_SHOWN_UP_TO = 20_000  # bytes: longer files are data


def on_files(files: Files, config: Any) -> Files:
    """Add what is linked to, and what that links to in turn."""
    waiting = [_in_repository(file.src_uri) for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for path in _outside(page):
            if files.get_file_from_path(_in_site(path)) is None:
                files.append(_file(path, config))
                waiting += [path] if path.endswith(".md") else []
    files.append(File.generated(config, "decisions/index.md", content=_decisions()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    here = page.file.src_uri

    def there(match: re.Match[str]) -> str:
        path = _target(_in_repository(here), match[1])
        if path is None or files.get_file_from_path(_in_site(path)) is None:
            return match[0]
        return posixpath.relpath(_in_site(path), posixpath.dirname(here)) + (match[2] or "")

    return _LINK.sub(there, markdown)


def _outside(page: str) -> Iterator[str]:
    """Files that a page links to and that are not below docs/. page: in the repository."""
    for match in _LINK.finditer((_ROOT / page).read_text(encoding="utf-8")):
        path = _target(page, match[1])
        if path is not None and not path.startswith("docs/") and (_ROOT / path).is_file():
            yield path


def _target(page: str, link: str) -> str | None:
    """Where a link leads in the repository; None for links to other sites."""
    if ":" in link or link.startswith("/"):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(link)))


def _file(path: str, config: Any) -> File:
    whole = _ROOT / path
    language = _SHOWN.get(whole.suffix)
    if language is None or whole.stat().st_size > _SHOWN_UP_TO:
        return File.generated(config, _in_site(path), abs_src_path=os.fspath(whole))
    # A search is for what pages say; of each file, its name is somewhere on them.
    unsearched = "---\nsearch:\n  exclude: true\n---\n\n"
    text = f"{unsearched}# {whole.name}\n\n`{path}`\n\n```{language}\n{whole.read_text(encoding='utf-8')}```\n"
    return File.generated(config, _in_site(path), content=text)


def _decisions() -> str:
    """A page that lists the decisions by their titles."""
    pages = sorted((_ROOT / "docs/decisions").glob("[0-9]*.md"))
    titles = {page.name: page.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ") for page in pages}
    return "# Decisions\n\nWhy things are as they are.\n\n" + "".join(f"- [{t}]({n})\n" for n, t in titles.items())


def _in_site(path: str) -> str:
    """Where the site has a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    whole = _ROOT / path
    is_shown = whole.suffix in _SHOWN and whole.is_file() and whole.stat().st_size <= _SHOWN_UP_TO
    return f"source/{path}.md" if is_shown else f"source/{path}"


def _in_repository(uri: str) -> str:
    """The inverse of `_in_site`, for pages."""
    return uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}"
