"""Who works on a run: no two schedulers, on one machine or several, do the same run at the same time.

A claim is a file `claim-<n>.json` in the run's folder; the one with the highest number counts. It is made by linking a
finished file to that name, which fails where the name exists, on network file systems too. A claim that was released,
or whose owner is dead, is followed by the next number: of several who try, one succeeds. So nothing is ever locked, and
whatever is killed at whatever moment leaves a claim that others see is dead. Claims go when the run is complete, which
everybody looks at again after claiming it.

The owner is alive while its process exists, if it runs where we can see that; else while it touches the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

import psutil

from sft.errors import SftError
from sft.records import write_json

TOUCHED_EVERY = 10.0
"""Seconds between signs of life."""
DEAD_AFTER = 90.0
"""Seconds without one, after which an owner on another machine counts as dead."""


class LostClaim(SftError):
    """Somebody else took over the run, because this process seemed dead."""


class Claim:
    """A claim that this process holds."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self._path = _path(folder, number)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True, name="claim")
        self._thread.start()

    def check(self) -> None:
        """Raises `LostClaim` where it isn't ours any more."""
        if _highest(self._folder) != self._number:
            raise LostClaim(f"{self._folder}: another process took this run over", "leave it to that one")

    def release(self, *, complete: bool) -> None:
        """Leave the run to others; complete: there is nothing left to do."""
        self._released.set()
        self._thread.join()
        if not complete:
            write_json(self._path, {"released": True})
            return
        for number in range(1, self._number + 1):
            _path(self._folder, number).unlink(missing_ok=True)

    def _touch(self) -> None:
        while not self._released.wait(TOUCHED_EVERY):
            with contextlib.suppress(OSError):  # a file system that is away for a moment
                os.utime(self._path)


def take(folder: Path, owner: str | None = None) -> Claim | None:
    """The claim to a run's folder; None where somebody who is alive holds it. owner: for `release_claims_of`."""
    while True:
        number = _highest(folder)
        if number and _is_alive(folder, number):
            return None
        made = folder / f".claim-{uuid.uuid4().hex}.tmp"
        made.write_text(json.dumps({**_me(), "owner": owner}), encoding="utf-8")
        try:
            os.link(made, _path(folder, number + 1))
        except FileExistsError:
            continue  # somebody was faster: look again
        finally:
            made.unlink()
        return Claim(folder, number + 1)


def release_claims_of(results_path: Path, owner: str) -> None:
    """Leave to others what an owner held of whom the caller knows that it is dead, or will soon be.

    One that lives on all the same finds that it lost its claim, once another has taken over.
    """
    for path in results_path.glob("*/claim-*.json"):
        try:
            claim = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            continue  # the run is complete, or its claim counts as that of a dead owner anyhow
        if claim.get("owner") == owner:
            write_json(path, {"released": True})


def is_claimed(folder: Path) -> bool:
    """Whether somebody who is alive holds the claim to a run's folder."""
    number = _highest(folder)
    return number > 0 and _is_alive(folder, number)


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim-{number}.json"


def _highest(folder: Path) -> int:
    """0: nobody ever claimed it, or whoever did is done."""
    numbers = [path.stem.removeprefix("claim-") for path in folder.glob("claim-*.json")]
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def _me() -> dict[str, Any]:
    return {**_place(), "pid": os.getpid(), "started": psutil.Process().create_time(), "host": socket.gethostname()}


def _place() -> dict[str, str]:
    """What processes have in common that can see one another: the boot of the machine, and the space of process ids."""
    place = {"boot": str(psutil.boot_time()), "processes": socket.gethostname()}
    with contextlib.suppress(OSError):  # not on Linux
        place["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        place["processes"] = str(Path("/proc/self/ns/pid").readlink())
    return place


def _is_alive(folder: Path, number: int) -> bool:
    path = _path(folder, number)
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        touched = path.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return False
    if owner.get("released"):
        return False
    if all(owner.get(name) == value for name, value in _place().items()):
        return _runs(owner)
    return _now(folder) - touched < DEAD_AFTER


def _runs(owner: dict[str, Any]) -> bool:
    """Whether the process exists; another with its number began at another time."""
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - float(owner["started"])) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _now(folder: Path) -> float:
    """The time of the file system, whose clock may be another one than ours."""
    probe = folder / f".now-{uuid.uuid4().hex}"
    probe.touch()
    now = probe.stat().st_mtime
    probe.unlink()
    return now
