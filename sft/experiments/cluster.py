"""A Ray cluster: the way to it, and what its machines have."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.errors import MissingPackageError, SftError
from sft.experiments.devices import gpus_needed

_HOW_TO_START = (
    "start one (`ray start --head` on a machine, `ray start --address=<that machine>:6379` on the others) and run this "
    "on one of them; RAY_ADDRESS says which cluster, where there are several"
)


class Needs(NamedTuple):
    """What a worker needs of a machine. memory: in bytes; 0: as it comes."""

    cpus: int
    gpus: int
    memory: int

    def __str__(self) -> str:
        memory = f" and {self.memory / 1e9:g} GB of memory" if self.memory else ""
        return f"{self.cpus} CPUs, {self.gpus} GPUs{memory}"


Machine = Needs
"""What a machine has, in the same terms."""


@contextlib.contextmanager
def connection() -> Iterator[Any]:
    """The module `ray`, connected to a cluster that exists; one that was connected already stays so.

    Raises `SftError` where Ray isn't installed or no cluster is found.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError(
            "ray", "--launcher ray", "pip install 'supervised-finetuning[ray]' on every machine of the cluster"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS", "")  # "auto" means the same as none
    if "://" in address:
        raise SftError(
            f"--launcher ray: RAY_ADDRESS is {address!r}, but Ray's client can't do what this needs",
            "run this on a machine of the cluster, with RAY_ADDRESS=<head>:6379 or without it",
        )
    if address not in ("", "auto"):
        _check_reachable(address)
    with _signals_kept():
        try:
            ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = f" at RAY_ADDRESS={address}" if address else ""
            raise SftError(f"--launcher ray: no Ray cluster can be used{where}: {error}", _HOW_TO_START) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
    except (OSError, ValueError) as error:
        raise SftError(f"--launcher ray: no Ray cluster at RAY_ADDRESS={address}: {error}", _HOW_TO_START) from error


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets a handler of its own, by which a process ends without a word."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def machines(ray: Any) -> list[Machine]:
    """Of the cluster, as it is now."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(int(r.get("CPU", 0)), int(r.get("GPU", 0)), int(r.get("memory", 0))) for r in found]


def needs_of(configs: Sequence[ExperimentConfig], there: Sequence[Machine]) -> Needs:
    """Of a worker that does all these runs; a GPU each by default where any machine has one."""
    most = max((machine.gpus for machine in there), default=0)
    gpus = [0 if config.resources.gpus is None and most == 0 else gpus_needed(config, most) for config in configs]
    memory = max(config.resources.memory_gb or 0.0 for config in configs)
    return Needs(max(config.resources.cpus for config in configs), max(gpus), round(memory * 1e9))


def room(needs: Needs, there: Sequence[Machine]) -> int:
    """How many workers with these needs fit on the machines, if nobody else uses them."""
    return sum(min(has // needed for has, needed in zip(machine, needs, strict=True) if needed) for machine in there)
