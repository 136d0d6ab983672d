"""Where the blocks of a page are run: a folder that looks like a checkout, in this process, undone afterwards."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sft import plugins
from sft.api import load_config, load_configs
from sft.cli import main
from sft.config.load import read_value
from sft.registry import Registry
from tests.conftest import REPOSITORY
from tests.docs.blocks import Block, commands_of

_WHOLE = {"dataset", "model", "prompting"}


class Workplace:
    """Runs the blocks of one page in their order: files that an earlier block wrote are there for a later one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "documentation"}
        (folder / "etc").symlink_to(REPOSITORY / "etc")

    def run(self, block: Block) -> None:
        path = self._folder / (block.title or f"block.{block.language}")
        path.write_text(block.text, encoding="utf-8")
        match block.language:
            case "sh":
                for command in commands_of(block.text):
                    self._command(command, block)
            case "python" if block.title:
                compile(block.text, block.place, "exec")  # a command of the page imports it
            case "python":
                exec(compile(block.text, block.place, "exec"), self._names)
            case "json" | "jsonnet" if block.title is None:
                self._check_config(path)
            case "json" | "jsonnet":
                read_value(path)  # a command of the page checks the rest, with its imports

    def _command(self, command: str, block: Block) -> None:
        words = [path for word in shlex.split(command, comments=True) for path in self._fitting(word)]
        if words[:3] == ["python", "-m", "sft.cli"]:
            words = ["sft", *words[3:]]
        assert words[0] == "sft", f"{block.place}: {words[0]} can't be run here: mark the block with a reason"
        words, into = (words[:-2], Path(words[-1])) if words[-2:-1] == [">"] else (words, None)
        with contextlib.ExitStack() as stack:
            if into is not None:
                stack.enter_context(contextlib.redirect_stdout(stack.enter_context(into.open("w", encoding="utf-8"))))
            code = _sft(words)
        assert code == 0, f"{block.place}: `{command}` ends with {code}"

    def _fitting(self, word: str) -> list[str]:
        """What a shell makes of a pattern of paths; other words as they are."""
        is_pattern = "*" in word and " " not in word and not word.startswith("*")
        found = sorted(self._folder.glob(word)) if is_pattern else []
        return [str(path.relative_to(self._folder)) for path in found] or [word]

    def _check_config(self, path: Path) -> None:
        """A whole config, a sweep, or a part of a config, which is put into one that has everything."""
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json" and not text.lstrip().startswith("{"):
            path.write_text(f"{{{text}}}", encoding="utf-8")
        value = read_value(path)
        if isinstance(value, list) or "configs" in value:
            assert load_configs(path)
            return
        if not value.keys() >= _WHOLE:
            path = path.with_suffix(".json")
            path.write_text(json.dumps(_completed(value)), encoding="utf-8")
        load_config(path, endpoint="evaluate")


def _completed(part: Mapping[str, Any]) -> dict[str, Any]:
    base = json.loads((REPOSITORY / "tests/docs/whole.json").read_text(encoding="utf-8"))
    if "adapter" in part:
        del base["lora"]
    return _merged(base, part)


def _merged(base: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in part.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _sft(words: list[str]) -> int:
    """The command's exit code. It warns as it does for users, and leaves logging and signals as they were."""
    root, ours = logging.getLogger(), logging.getLogger("sft")
    handlers, levels, argv = root.handlers[:], (root.level, ours.level), sys.argv
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = words
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv, root.handlers[:] = argv, handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        for number, handler in signals.items():
            signal.signal(number, handler)
    return 0


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Workplace]:
    """What modules of the page registered is forgotten at the end, and so are the modules."""
    registries = {
        id(value): value
        for name, module in list(sys.modules.items())
        if name.startswith("sft.") and module is not None
        for value in list(vars(module).values())
        if isinstance(value, Registry)
    }
    before = {key: dict(registry._entries) for key, registry in registries.items()}
    path, imported = sys.path[:], plugins._imported[:]
    with contextlib.chdir(folder):
        try:
            yield Workplace(folder)
        finally:
            for key, registry in registries.items():
                registry._entries.clear()
                registry._entries.update(before[key])
            sys.path[:], plugins._imported[:] = path, imported
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
                    del sys.modules[name]
            shutil.rmtree(folder / "results", ignore_errors=True)
