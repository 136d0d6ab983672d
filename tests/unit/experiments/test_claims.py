"""A run is claimed by one process at a time, and what the dead held is taken over once."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sft.experiments import claims
from sft.experiments.claims import LostClaim, is_claimed, take

CLAIM_AND_DIE = """
import os, signal, sys
from pathlib import Path
from sft.experiments.claims import take
take(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def claim_of_the_dead(folder: Path) -> Path:
    """As a process leaves it that was killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    code = subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, str(folder)], env=environment).returncode
    assert code == -9
    path = folder / "claim-1.json"
    assert path.exists()
    return path


def elsewhere(path: Path, **more: Any) -> None:
    """Make a claim look as if it were of a machine whose processes can't be seen from here."""
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "boot": "another", **more}))


def test_a_claim_keeps_others_away_until_it_is_released(tmp_path: Path) -> None:
    claim = take(tmp_path)
    assert claim is not None
    assert is_claimed(tmp_path)
    assert take(tmp_path) is None
    claim.check()
    claim.release(complete=False)
    assert not is_claimed(tmp_path)
    again = take(tmp_path)
    assert again is not None
    again.release(complete=False)


def test_numbers_only_grow_until_the_run_is_complete_and_then_nothing_is_left(tmp_path: Path) -> None:
    for _ in range(3):
        claim = take(tmp_path)
        assert claim is not None
        claim.release(complete=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claim-1.json", "claim-2.json", "claim-3.json"]
    claim = take(tmp_path)
    assert claim is not None
    claim.release(complete=True)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_processs_claim_is_taken_over_at_once(tmp_path: Path) -> None:
    claim_of_the_dead(tmp_path)
    assert not is_claimed(tmp_path)
    claim = take(tmp_path)
    assert claim is not None
    claim.check()
    claim.release(complete=True)


def test_another_process_with_the_number_of_the_dead_is_not_its_owner(tmp_path: Path) -> None:
    path = claim_of_the_dead(tmp_path)
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "pid": os.getpid()}))  # this process began at another time
    assert not is_claimed(tmp_path)


def test_an_owner_on_another_machine_lives_while_it_touches_the_file(tmp_path: Path) -> None:
    path = claim_of_the_dead(tmp_path)
    elsewhere(path)
    assert is_claimed(tmp_path)
    assert take(tmp_path) is None
    long_ago = time.time() - claims.DEAD_AFTER - 1
    os.utime(path, (long_ago, long_ago))
    assert not is_claimed(tmp_path)


def test_a_claim_is_touched_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "TOUCHED_EVERY", 0.02)
    claim = take(tmp_path)
    assert claim is not None
    path = tmp_path / "claim-1.json"
    os.utime(path, (0, 0))
    until = time.monotonic() + 10
    while path.stat().st_mtime == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    claim.release(complete=True)


def test_who_seemed_dead_and_was_followed_writes_nothing_more(tmp_path: Path) -> None:
    claim = take(tmp_path)
    assert claim is not None
    elsewhere(tmp_path / "claim-1.json")
    long_ago = time.time() - claims.DEAD_AFTER - 1
    os.utime(tmp_path / "claim-1.json", (long_ago, long_ago))
    follower = take(tmp_path)
    assert follower is not None
    with pytest.raises(LostClaim, match="took this run over"):
        claim.check()
    follower.check()
    follower.release(complete=False)
    claim.release(complete=False)


@pytest.mark.parametrize("content", ["", "{", '{"released": true}'])
def test_a_claim_of_nobody_counts_for_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "claim-4.json").write_text(content)
    claim = take(tmp_path)
    assert claim is not None
    assert (tmp_path / "claim-5.json").exists()
    claim.release(complete=True)


def _contend(folder: str, together: Any, won: Any) -> None:
    together.wait()
    claim = take(Path(folder))
    if claim is not None:
        won.put(os.getpid())
    together.wait()  # who holds it lives until all have tried


@pytest.mark.parametrize("after_the_dead", [False, True])
def test_of_many_processes_that_try_at_the_same_moment_one_gets_it(after_the_dead: bool, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for round_number in range(3):
        folder = tmp_path / str(round_number)
        folder.mkdir()
        if after_the_dead:
            claim_of_the_dead(folder)
        together, won = context.Barrier(6), context.Queue()
        processes = [context.Process(target=_contend, args=(str(folder), together, won)) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert len([won.get() for _ in range(won.qsize())]) == 1
