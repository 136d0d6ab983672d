"""What one expects of a program in a shell: streams, pipes, colours, verbosity, completion, interrupts."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import Ended
from tests.fakes import config_value, write_config

Sft = Callable[..., Ended]
MODULE = [sys.executable, "-m", "sft.cli"]
SCRIPT = [sys.executable, "-c", "import sys; sys.argv[0] = 'sft'; from sft.cli import main; main()"]
COLOUR = re.compile(r"\x1b\[[\d;]*3\d")


class Piped(io.TextIOWrapper):
    """Standard input that holds a text."""

    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()))


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(text))


def shown_on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    subprocess.run([*MODULE, *arguments], stdout=theirs, env={**kept, "TERM": "xterm", **environment}, check=True)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return b"".join(parts).decode()


def test_no_color_is_honoured() -> None:
    assert COLOUR.search(shown_on_a_terminal("config", "--help"))
    assert not COLOUR.search(shown_on_a_terminal("config", "--help", NO_COLOR="1"))


def test_there_are_no_colours_in_a_pipe() -> None:
    done = subprocess.run([*MODULE, "config", "--help"], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout


JSONNET = "local n = 2;\n" + json.dumps(config_value()).replace('"shots": 2', '"shots": n')


@pytest.mark.parametrize(
    "text", [json.dumps(config_value()), JSONNET, "\ufeff" + JSONNET], ids=["JSON", "JSONNET", "BOM"]
)
def test_a_config_is_read_from_the_standard_input(text: str, sft: Sft, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, text)
    ended = sft("config", "show", "-", "-o", "seed=7")
    assert (ended.code, ended.err) == (0, "")
    shown = json.loads(ended.out)
    assert (shown["dataset"]["shots"], shown["seed"]) == (2, 7)


def test_a_sweep_is_too_and_its_imports_are_beside_the_working_directory(
    sft: Sft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "base.json", config_value())
    piped(monkeypatch, "{configs: {a: import 'base.json', b: (import 'base.json') + {seed: 5}}}")
    assert json.loads(sft("config", "show", "-").out)["b"]["seed"] == 5


WRONG = {
    "{": "the standard input: invalid JSON or JSONNET",
    " ": "the standard input, which is empty",
    '{"sed": 1}': "the standard input: ",
    '{"configs": {}}': "the standard input holds no config",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_it_is_told(text: str, sft: Sft, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, text)
    ended = sft("config", "show", "-")
    assert (ended.code, ended.out) == (2, "")
    assert WRONG[text] in ended.err


PARSEABLE = [
    ["config", "schema"],
    ["config", "show", "etc/quickstart/quickstart.jsonnet"],
    ["config", "show", "-v", "etc/configs/json/tweet_sentiment_qwen.json"],
]


@pytest.mark.parametrize("arguments", PARSEABLE, ids=" ".join)
def test_json_on_the_standard_output_is_nothing_but_json(arguments: list[str]) -> None:
    done = subprocess.run([*MODULE, *arguments], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "schema"],
        ["config", "show", "etc/quickstart/curve.jsonnet"],
        pytest.param(["doctor", "-"], id="a table"),
    ],
)
def test_a_reader_that_ends_early_is_no_error(arguments: list[str]) -> None:
    """As `head` does: what is printed at once and what waits in a buffer until the end."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as pipe:
        done = subprocess.run(
            [*MODULE, *arguments],
            stdout=pipe,
            stderr=subprocess.PIPE,
            input="{}",
            text=True,
            check=False,
            cwd=REPOSITORY,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_ends_with_130_and_without_a_traceback(sft: Sft, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Piped):
        @property
        def buffer(self) -> io.BufferedReader:  # type: ignore[override]
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the signal was ignored")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr("sft.stopping._asked", False)
    monkeypatch.setattr(sys, "stdin", Interrupted(""))
    try:
        ended = sft("config", "show", "-")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.code == 130
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("options", "level"), [([], logging.WARNING), (["-q"], logging.ERROR), (["--verbose"], logging.INFO)]
)
def test_quiet_and_verbose_say_less_and_more(options: list[str], level: int, sft: Sft, tmp_path: Path) -> None:
    assert sft("config", "show", write_config(tmp_path / "x.json", config_value()), *options).code == 0
    (handler,) = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    assert handler.level == level


def test_quiet_and_verbose_exclude_each_other(sft: Sft, tmp_path: Path) -> None:
    ended = sft("config", "show", write_config(tmp_path / "x.json", config_value()), "-q", "-v")
    assert ended.code == 2
    assert "--verbose" in ended.err


def completed(*words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    environment = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_SFT_COMPLETE": "complete_bash"}
    done = subprocess.run(SCRIPT, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options_are_completed_and_files_left_to_the_shell() -> None:
    assert completed("sft", "run-e") == ["run-experiment", "run-experiments"]
    assert completed("sft", "train", "--res") == ["--resume"]
    assert completed("sft", "train", "etc/") == []
    shown = f"{shlex.join([*SCRIPT, '--show-completion'])}; true"  # bash is the parent, which is looked at
    script = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=False)
    assert "complete -o default -F" in script.stdout  # without anything offered, bash completes names of files


def test_help_says_what_exit_codes_mean(sft: Sft) -> None:
    assert "130 interrupted" in " ".join(sft("--help").out.split())
