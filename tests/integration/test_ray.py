"""Sweeps on a real Ray cluster of three nodes on this machine, the head without CPUs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from sft.api import Sweep, run_experiments
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import MissingPackageError, SftError
from sft.experiments import claims
from sft.experiments.launch import ray as launch
from sft.experiments.live import Live
from sft.records import RunRecord, find_records, read_items
from tests.conftest import REPOSITORY
from tests.fakes import write_config
from tests.tiny_runs import tiny_run

pytest.importorskip("ray", reason="Ray isn't installed (the extra `ray`)")
STORE = 80 * 2**20
FAR_AWAY = """
import uuid
from sft.experiments import claims

here = {"boot": uuid.uuid4().hex, "processes": "elsewhere"}
claims._place = lambda: here
claims.DEAD_AFTER = 1e6
"""
PLUG_IN = """
from sft.evaluation.metrics.base import metric


@metric("of a plug-in", task_type="classification")
def of_a_plug_in(outcome):
    return {"of_a_plug_in": 42.0}
"""


class Nodes(NamedTuple):
    cluster: Any
    workers: list[Any]

    def add(self) -> None:
        self.workers.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE))

    def lose_one(self) -> None:
        """As when the power of one with a run fails: whatever runs there does nothing more, and nobody is told."""
        node = next(node for node in self.workers if any(_runs_us(process) for process in _processes(node)))
        self.workers.remove(node)
        running = _processes(node)
        for process in running:
            process.suspend()
        for process in running:
            process.kill()
        self.cluster.remove_node(node, allow_graceful=False)


def _processes(node: Any) -> list[psutil.Process]:
    """Of its raylet, parents first: none sees its child die."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid).children(recursive=True)


def _runs_us(process: psutil.Process) -> bool:
    try:
        return "sft.experiments.worker" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    nodes = Nodes(cluster, [])
    nodes.add()
    nodes.add()
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = cluster.address
    yield nodes
    if before is None:
        del os.environ["RAY_ADDRESS"]
    else:
        os.environ["RAY_ADDRESS"] = before
    cluster.shutdown()


class Watching(Live):
    """Calls back, once, when as many workers as asked for are at work."""

    def __init__(self, workers: int, then: Callable[[], None]) -> None:
        super().__init__()
        self._at_work: set[int] = set()
        self._workers, self._then = workers, then
        self.stages: list[tuple[str, str]] = []

    def working(self, worker: int, run: str, stage: str) -> None:
        self.stages.append((run, stage))
        if stage == "training":
            self._at_work.add(worker)
        if len(self._at_work) == self._workers:
            self._workers = -1
            self._then()


class Expected(NamedTuple):
    configs: list[NamedConfig]
    sweep: Sweep


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """A sweep, and its results under the local launcher: 3 trained runs, and one from another's answers."""
    folder = tmp_path_factory.mktemp("local")
    configs = [NamedConfig(f"seed {seed}", tiny_run(folder, seed=seed)) for seed in (1, 2, 3)]
    calibrated = {"inference": {"calibration": {"method": "contextual"}}}
    configs.append(NamedConfig("calibrated", tiny_run(folder, seed=1, **calibrated)))
    return Expected(configs, run_experiments(configs, folder / "results"))


def content(sweep: Sweep) -> dict[str, Any]:
    """What doesn't depend on where runs were."""
    return {o.name: (o.folder.name, _lasting(o.record), read_items(o.folder)) for o in sweep.outcomes}


def _lasting(record: RunRecord) -> Any:
    assert record.status == "completed", record.error
    return record.results, record.counts, record.data, record.config, record.plan_id


def test_a_sweep_gives_the_records_of_the_local_launcher(nodes: Nodes, expected: Expected, tmp_path: Path) -> None:
    live = Watching(2, lambda: None)
    sweep = run_experiments(expected.configs, tmp_path / "results", launcher="ray", live=live)
    assert content(sweep) == content(expected.sweep)
    assert {run for run, _ in live.stages} == {config.name for config in expected.configs}
    assert len(list(find_records(tmp_path / "results"))) == 4
    left = [path.name for path in (tmp_path / "results").rglob("*") if path.name.startswith((".", "claim"))]
    assert left == []


def test_runs_of_a_lost_node_are_done_on_another_with_the_same_results(
    nodes: Nodes, expected: Expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Claims never lapse here, and their owners' processes can't be seen: somebody must say that they are dead."""
    (tmp_path / "far_away.py").write_text(FAR_AWAY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    monkeypatch.setattr(launch, "imported_modules", lambda: ["far_away"])
    monkeypatch.setattr(claims, "DEAD_AFTER", 1e6)
    try:
        live = Watching(2, nodes.lose_one)
        sweep = run_experiments(expected.configs, tmp_path / "results", launcher="ray", live=live)
    finally:
        nodes.add()
    assert "was lost; its run is done again elsewhere" in caplog.text
    assert content(sweep) == content(expected.sweep)
    assert all("batches_divided_by" not in outcome.record.resources for outcome in sweep.outcomes)


def test_without_a_shared_folder_results_are_fetched_and_answers_sent(
    nodes: Nodes, expected: Expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_probe = contextlib.nullcontext(tmp_path / "elsewhere" / "probe")
    monkeypatch.setattr(launch, "_probe", lambda results_path: no_probe)
    results, broken = tmp_path / "results", with_model(expected.configs[0].config, f"{tmp_path}/nothing-here")
    first = [expected.configs[0], NamedConfig("no model", broken)]
    sweep = run_experiments(first, results, launcher="ray", workers=1)
    failed = {outcome.name: outcome.record for outcome in sweep.outcomes}["no model"]
    assert "no file or folder" in (failed.error or "")
    sweep = run_experiments(expected.configs, results, launcher="ray")
    assert content(sweep) == content(expected.sweep)
    assert {outcome.folder.parent for outcome in sweep.outcomes} == {results.absolute()}
    assert all((outcome.folder / "run.log").exists() for outcome in sweep.outcomes if outcome.name != "calibrated")
    assert (results / "logs" / "seed_1.log").exists()
    calibrated = {outcome.name: outcome.record for outcome in sweep.outcomes}["calibrated"]
    assert "scores_of" in calibrated.inference
    assert not list(results.glob(".*"))


def with_model(config: ExperimentConfig, name: str) -> ExperimentConfig:
    return config.model_copy(update={"model": config.model.model_copy(update={"name": name})})


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        ({"cpus": 2}, "needs 2 CPUs, 0 GPUs"),
        ({"gpus": 1}, "needs 1 CPUs, 1 GPUs"),
        ({"memory_gb": 1e6}, "needs 1 CPUs, 0 GPUs and 1e+06 GB of memory"),
    ],
)
def test_a_run_that_asks_for_more_than_any_machine_has_is_refused(
    resources: dict[str, float], named: str, nodes: Nodes, tmp_path: Path
) -> None:
    config = tiny_run(tmp_path, resources=resources)
    with pytest.raises(SftError, match="which no machine of the cluster has") as caught:
        run_experiments([NamedConfig("big", config)], tmp_path / "results", launcher="ray")
    assert f"the run 'big' {named}" in str(caught.value)
    assert "1 CPUs" in str(caught.value)
    assert not list((tmp_path / "results").glob(".probe*"))


def test_a_plug_in_of_the_working_directory_is_used_and_the_scheduler_loads_no_torch(
    nodes: Nodes, tmp_path: Path
) -> None:
    (tmp_path / "my_metrics.py").write_text(PLUG_IN, encoding="utf-8")
    config = tiny_run(tmp_path, evaluation={"metrics": ["accuracy"]}).model_dump(mode="json")
    config["evaluation"]["metrics"] = ["of a plug-in"]
    config["dataset"]["path"], config["model"]["name"] = "data", "llama"
    write_config(tmp_path / "config.json", config)
    code = """
import sys
from sft.api import load_configs, run_experiments
from sft.plugins import import_modules

import_modules(["my_metrics"])
sweep = run_experiments(load_configs("config.json"), "results", launcher="ray")
assert "torch" not in sys.modules
print(sweep.outcomes[0].record.error or sweep.outcomes[0].record.results)
"""
    done = run_python(["-c", code], tmp_path)
    assert "'of_a_plug_in': 42.0" in done.stdout, done.stdout + done.stderr


def test_an_interrupted_sweep_ends_its_workers_and_goes_on_where_it_was(nodes: Nodes, tmp_path: Path) -> None:
    args = {"max_steps": 5000, "save_strategy": "steps", "save_steps": 1, "learning_rate": 0.0}
    write_config(tmp_path / "config.json", tiny_run(tmp_path, trainer_args=args).model_dump(mode="json"))
    command = [sys.executable, "-m", "sft.cli", "run-experiments", "config.json", "--launcher", "ray"]
    sweep = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: list(tmp_path.glob("results/*/unfinished/training/*/trainer_state.json")), sweep)
    sweep.send_signal(signal.SIGTERM)
    output, _ = sweep.communicate(timeout=100)
    assert sweep.returncode == 130, output
    assert "stopping: runs save what they can" in output
    assert "the same command goes on from there" in output
    (claim,) = tmp_path.glob("results/*/claim-*.json")
    assert json.loads(claim.read_text(encoding="utf-8")) == {"released": True}


def test_without_a_cluster_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    write_config(tmp_path / "config.json", tiny_run(tmp_path).model_dump(mode="json"))
    done = run_python(
        ["-m", "sft.cli", "run-experiments", "config.json", "--launcher", "ray"], tmp_path, RAY_ADDRESS="127.0.0.1:1"
    )
    assert done.returncode == 2, done.stderr
    assert "no Ray cluster at RAY_ADDRESS=127.0.0.1:1" in done.stderr
    assert "ray start --head" in done.stderr
    assert "Traceback" not in done.stderr


def test_rays_client_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(SftError, match="on a machine of the cluster"):
        run_experiments([NamedConfig("a", tiny_run(tmp_path))], tmp_path / "results", launcher="ray")


def test_without_ray_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"supervised-finetuning\[ray\]"):
        run_experiments([NamedConfig("a", tiny_run(tmp_path))], tmp_path / "results", launcher="ray")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}


def run_python(arguments: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])
