"""What of our and of libraries' messages reaches a terminal, and what is told again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sft.logs import configure_logging, remembering, say_again


@pytest.fixture(autouse=True)
def same_loggers() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("sft")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


@pytest.mark.parametrize(
    ("name", "message", "shown"),
    [
        ("torchao", "Failed to load x.so: no", False),
        ("bitsandbytes.backends.cpu.ops", "Failed to load CPU gemm_4bit_forward", False),
        ("bitsandbytes.autograd", "inputs will be cast", True),
        ("sft.data", "Failed to load the rows", True),
    ],
)
def test_kernels_that_are_not_there_are_no_news(
    name: str, message: str, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(logging.WARNING)
    logging.getLogger(name).warning(message)
    assert (message in capsys.readouterr().err) is shown


def test_what_torch_will_rename_is_no_news_for_users() -> None:
    logger = logging.getLogger("torch.utils._pytree")
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        configure_logging(logging.WARNING)
        logger.warning("calling register_constant() on Enum subclasses is deprecated")
        logger.warning("no node of this type")
    finally:
        logger.removeHandler(handler)
    assert heard == ["no node of this type"]


def test_what_was_said_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    with remembering() as said:
        logging.getLogger("sft.data").warning("%d rows", 3)
    caplog.clear()
    say_again(said)
    assert caplog.messages == ["3 rows"]
