"""docs/cli.md is generated, and has every command and option."""

from __future__ import annotations

import pytest

from sft.cli.options import EXIT_CODES, FAILED_RUNS, INTERRUPTED, NO_READER, USER_ERROR
from sft.cli.reference import Command, commands, reference, section
from tests.conftest import REPOSITORY

COMMANDS = list(commands())
NAMES = [command.name for command in COMMANDS]


def test_the_committed_reference_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_commands_inside_groups_are_found() -> None:
    assert {"sft train", "sft results compare", "sft config show", "sft init"} <= set(NAMES)


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_option_is_in_the_reference_with_its_help(command: Command) -> None:
    text = section(command)
    for parameter in command.parsed.params:
        assert parameter.help, f"{command.name}: {parameter.name} has no help"
        assert " ".join(parameter.help.split()).replace("|", "\\|") in text
        for name in parameter.opts if parameter.param_type_name == "option" else ():
            assert f"`{name}" in text


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_command_has_an_example_that_begins_with_its_name(command: Command) -> None:
    assert f"```sh\n{command.name}" in section(command), "end the docstring with `Example: sft …`"


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_command_that_may_log_takes_quiet_and_verbose(command: Command) -> None:
    if command.name == "sft config schema":
        return  # it prints a constant
    options = {name for parameter in command.parsed.params for name in parameter.opts}
    assert {"-q", "--quiet", "-v", "--verbose"} <= options, "add `quiet: Quiet` and `verbose: Verbose`"


def test_exit_codes_are_documented() -> None:
    for code in (0, FAILED_RUNS, USER_ERROR, INTERRUPTED, NO_READER):
        assert f"| {code} |" in reference()
        assert f"{code} " in EXIT_CODES


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert reference() == before
