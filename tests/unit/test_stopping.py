"""Being asked to stop, by signals that this process sends itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from sft import stopping
from sft.stopping import asked_to_stop, install, saves_when_asked

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.setattr(stopping, "_asked", False)
    install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ask(number: signal.Signals) -> None:
    signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_would_be_lost_it_stops_at_once(number: signal.Signals) -> None:
    reached = []

    def work() -> None:
        ask(number)
        reached.append("after the signal")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not reached
    assert asked_to_stop()


@pytest.mark.parametrize("number", SIGNALS)
def test_what_can_be_saved_is_saved_first(number: signal.Signals) -> None:
    saved = []

    def work() -> None:
        with saves_when_asked():
            assert not asked_to_stop()
            ask(number)
            assert asked_to_stop()
            saved.append("all")
        saved.append("too late")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert saved == ["all"]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_request_stops_at_once(first: signal.Signals, second: signal.Signals) -> None:
    saved = []

    def work() -> None:
        with saves_when_asked():
            ask(first)
            saved.append("a part")
            ask(second)
            saved.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert saved == ["a part"]


def test_it_stops_at_the_end_of_the_inner_of_two() -> None:
    reached = []

    def work() -> None:
        with saves_when_asked():
            with saves_when_asked():
                ask(signal.SIGTERM)
                reached.append("inner")
            reached.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["inner"]


def test_another_error_goes_through_as_it_is() -> None:
    def work() -> None:
        with saves_when_asked():
            ask(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert asked_to_stop()


def test_without_a_request_nothing_happens() -> None:
    with saves_when_asked():
        assert not asked_to_stop()
    assert not asked_to_stop()
