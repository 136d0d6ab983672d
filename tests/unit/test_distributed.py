"""What a process knows of the others, on its own and among several (which are faked: tests/e2e has real ones)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sft import cli, distributed
from sft.config.schema import ModelConfig
from sft.distributed import even_parts
from sft.errors import SftError, TrainingError
from sft.models.load import load_model
from sft.models.source import ModelSource
from sft.training.sharded import refuse_sharded


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes this process one of three, as far as it can tell."""

    def become(rank: int) -> None:
        for name, value in {"RANK": rank, "WORLD_SIZE": 3, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 3}.items():
            monkeypatch.setenv(name, str(value))

    return become


def test_a_process_on_its_own_is_the_first_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # of a job, whose processes have no numbers
    assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.on_main(lambda: "mine") == "mine"
    assert distributed.gathered("mine") == ["mine"]
    assert distributed.own_file(Path("a/texts.jsonl")) == Path("a/texts.jsonl")
    assert distributed.fails_first()
    assert distributed.fails_first()
    distributed.refuse_several("a sweep", "start one")
    distributed.join()
    distributed.leave()
    assert not torch.distributed.is_initialized()


def test_one_of_several_keeps_texts_in_a_file_of_its_own(as_rank: Callable[[int], None]) -> None:
    as_rank(2)
    assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (3, 2, False)
    assert distributed.own_file(Path("a/texts.jsonl")) == Path("a/texts-2.jsonl")
    as_rank(0)
    assert distributed.is_main()
    assert distributed.own_file(Path("a/texts.jsonl")) == Path("a/texts.jsonl")


def test_the_first_tells_the_others_its_value_or_its_failure(
    as_rank: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    def send(value: Any) -> Any:
        if distributed.is_main():
            sent.append(value)
        return sent[-1]

    def fail() -> None:
        raise SftError("it can't be", "do otherwise")

    monkeypatch.setattr(distributed, "_sent_by_main", send)
    as_rank(0)
    assert distributed.on_main(lambda: 7) == 7
    as_rank(1)
    assert distributed.on_main(lambda: 8) == 7, "the others don't call it"
    as_rank(0)
    with pytest.raises(SftError, match="it can't be"):
        distributed.on_main(fail)
    as_rank(1)
    with pytest.raises(distributed.OtherProcessError, match="it can't be"):
        distributed.on_main(lambda: 8)


def test_one_process_fails_first(as_rank: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    monkeypatch.setattr(distributed, "_store", lambda: store)
    as_rank(1)
    assert [distributed.fails_first(), distributed.fails_first()] == [True, False]

    def gone() -> Any:
        raise torch.distributed.DistNetworkError("connection refused")

    monkeypatch.setattr(distributed, "_store", gone)
    assert not distributed.fails_first()


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 6))
def test_parts_hold_every_item_once_and_are_even_to_one_item(sizes: list[int], count: int) -> None:
    parts = even_parts(sizes, count)
    assert len(parts) == count
    assert [i for part in parts for i in range(len(sizes))[part]] == list(range(len(sizes)))
    for part in parts:
        assert abs(sum(sizes[part]) - sum(sizes) / count) <= max(sizes, default=0)


def test_a_model_isnt_spread_over_the_devices_of_several_processes(
    as_rank: Callable[[int], None], tmp_path: Path
) -> None:
    as_rank(1)
    source = ModelSource(str(tmp_path), None)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    for args in ({"device_map": "auto"}, {"parallelize": True}):
        config = ModelConfig(name=str(tmp_path), model_args=args)
        with pytest.raises(SftError, match=rf"{next(iter(args))}.*was started as 3"):
            load_model(config, source, None)  # type: ignore[arg-type]  # it gets no further


@pytest.mark.parametrize("command", [["run-experiments", "x.json"], ["curve", "x.json"], ["results", "aggregate", "x"]])
def test_commands_for_one_process_are_refused_by_several(
    command: list[str],
    as_rank: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["sft", *command])
    monkeypatch.setattr(distributed, "_store", torch.distributed.HashStore)
    as_rank(0)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert f"sft {command[0]} is for one process, and was started as 3" in capsys.readouterr().err


def test_scoring_after_training_is_refused_where_weights_are_sharded(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_sharded("run-experiment")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(TrainingError, match=r"run-experiment needs the whole trained model.*\n.*--checkpoint"):
        refuse_sharded("run-experiment")
