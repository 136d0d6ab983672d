"""Whatever a page shows as a command, a config or code works, or says why it wasn't tried."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.blocks import PAGES, READ_ONLY, REASONS, RUN, SHOWN, Block, blocks_of, commands_of
from tests.docs.options import check_options, understood
from tests.docs.workplace import workplace

RUNNABLE = {
    page: [b for b in blocks_of(page) if b.language in RUN and b.reason is None]
    for page in PAGES
    if page not in READ_ONLY
}
WITH_BLOCKS = [page for page, blocks in RUNNABLE.items() if blocks]


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def test_every_block_says_what_it_is_and_is_run_unless_it_says_why_not() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert len(blocks) > 40
    for block in blocks:
        assert block.language in RUN | SHOWN, f"{block.place}: give the block one of the languages {RUN | SHOWN}"
        assert block.reason is None or block.reason in REASONS, f"{block.place}: no such reason: {block.reason}"


def test_a_file_of_a_page_is_used_by_a_command_of_it() -> None:
    files = [block for blocks in RUNNABLE.values() for block in blocks if block.title]
    assert len(files) >= 18
    for block in files:
        assert block.title is not None
        others = [b.text for b in blocks_of(block.page) if b is not block and b != block]
        assert any(block.title.removesuffix(".py") in text for text in others), f"{block.place} is used by nothing"


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=map(name, WITH_BLOCKS))
def test_the_blocks_of_a_page_run_in_their_order(page: Path, tmp_path: Path) -> None:
    with workplace(tmp_path) as place:
        for block in RUNNABLE[page]:
            place.run(block)


def test_commands_that_are_not_run_have_options_that_exist() -> None:
    unrun = [b for page in PAGES for b in blocks_of(page) if b.language == "sh" and (b.reason or page in READ_ONLY)]
    commands = [(block, command) for block in unrun for command in commands_of(block.text)]
    ours = [(block, words) for block, command in commands for words in understood(command)]
    assert len(ours) > 8
    for block, words in ours:
        check_options(words, block)


@pytest.mark.parametrize(
    "wrong", ["sft evaluete x.json", "sft evaluate x.json --seed 3", "sft results calibrate results"]
)
def test_a_command_with_a_wrong_option_is_found(wrong: str) -> None:
    block = Block(PAGES[0], 1, "sh", None, wrong, "needs a GPU")
    with pytest.raises(AssertionError, match=r"\.md:1: "):
        check_options(shlex.split(wrong)[1:], block)


def test_a_block_that_cannot_be_run_is_found(tmp_path: Path) -> None:
    wrong = Block(PAGES[0], 1, "sh", None, "sft evaluate no-such.json\n", None)
    other = Block(PAGES[0], 1, "sh", None, "rm -r everything\n", None)
    with workplace(tmp_path) as place:
        with pytest.raises(AssertionError, match="ends with 2"):
            place.run(wrong)
        with pytest.raises(AssertionError, match="rm can't be run here"):
            place.run(other)
