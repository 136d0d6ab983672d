"""A worker process that does many runs gives for each what a process of its own gives.

Every adapter of the registry, every initializer, and every other way in which a run differs from another is done by one
worker, in shuffled order, with one loaded base model, and compared with the same run

- under `isolation="process"`: those in `UNDER_PROCESS_ISOLATION`, some of every kind;
- in a process forked from one that has imported the libraries and done nothing else: the rest. It differs from a new
  process by what imports leave behind, and saves them: some six seconds for each run.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from sft.adapters import adapter_registry
from sft.api import run_experiments
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.experiments.execute import Executor
from sft.experiments.plan import plan
from sft.experiments.protocol import Settings, TaskValue
from sft.initialization.initializers import initializer_registry
from sft.pipeline.recording import now
from sft.records import RunRecord, find_records, read_items, read_support
from tests.quantised_models import save_wide_model
from tests.tiny_runs import tiny_run
from tests.unit.adapters.adapter_arguments import SMALL

NF4 = {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
ORDER = 0  # of the shuffle
UNDER_PROCESS_ISOLATION = {"lora", "full", "init pissa", "init umap", "temperature over folds", "nf4"}
_NEEDS = {"umap": "umap", "loftq": "bitsandbytes"}
_OF_THE_COURSE = {"timings", "environment", "resources", "started_at", "finished_at"}
_OF_THE_CLOCK = ("seconds", "_runtime", "_per_second")

_PRELOADED = ["tests.e2e.test_isolation", "datasets", "peft", "trl.trainer.sft_trainer", "sft.pipeline.run"]
_PRELOADED += ["transformers.models.llama.modeling_llama", "transformers.generation.utils"]

INITIALIZERS = [name for name in initializer_registry if name not in _NEEDS or find_spec(_NEEDS[name])]


def lora(**args: Any) -> dict[str, Any]:
    return {"method": "lora", "args": {"r": 2, "target_modules": "all-linear", **args}}


OTHERS: dict[str, dict[str, Any]] = {
    "zero-shot": {"dataset": {"shots": 0}},
    "in context": {"dataset": {"shots": 0}, "inference": {"icl_examples": 2}, "adapter": None},
    "dropout, in context": {
        "adapter": lora(lora_dropout=0.3), "training": {"icl_examples": 1}, "inference": {"icl_examples": 1},
    },
    "sampled": {"inference": {"method": "generate", "generation_args": {"do_sample": True, "temperature": 1.5}}},
    "generated": {"inference": {"method": "generate"}},
    "temperature over folds": {"inference": {"calibration": {"method": "temperature"}, "folds": 2}},
    "contextual calibration": {"inference": {"calibration": {"method": "contextual"}}},
    "gradient checkpointing": {"trainer_args": {"gradient_checkpointing": True}},
    "packing": {"trainer_args": {"packing": True, "max_length": 128}},
    "bfloat16": {"model": {"model_args": {"dtype": "bfloat16"}}},
    "mixed precision": {"trainer_args": {"bf16": True}},
    "another seed": {"seed": 14},
}  # fmt: skip
if find_spec("bitsandbytes"):
    OTHERS["nf4"] = {"model": "wide", "quantization": NF4}


def configs(folder: Path) -> list[NamedConfig]:
    found = [NamedConfig(name, adapted(folder, name, SMALL.get(name, {}))) for name in adapter_registry]
    for name in INITIALIZERS:
        wide = {"model": "wide", "quantization": NF4} if name == "loftq" else {}
        found.append(NamedConfig(f"init {name}", made(folder, adapter=lora(init_lora_weights=name), **wide)))
    found += [NamedConfig(name, made(folder, **sections)) for name, sections in OTHERS.items()]
    return found


def adapted(folder: Path, method: str, args: dict[str, Any]) -> ExperimentConfig:
    return made(folder, adapter={"method": method, "args": args})


def made(folder: Path, **sections: Any) -> ExperimentConfig:
    sections = {"adapter": lora(), **sections}
    trainer_args = {"max_steps": 3, "logging_steps": 1, **sections.pop("trainer_args", {})}
    if sections.get("model") == "wide":
        base = folder / "wide"
        if not base.exists():
            save_wide_model(base)
        sections["model"] = {"name": str(base), "quantization": sections.pop("quantization")}
    return tiny_run(folder, lora=None, trainer_args=trainer_args, **sections)


class Result(NamedTuple):
    """What mustn't depend on the process."""

    record: dict[str, Any]
    items: list[dict[str, Any]]
    support: list[dict[str, Any]]


def results(folder: Path) -> dict[str, Result]:
    return {str(record.name): Result(_lasting(record), read_items(path), read_support(path))
            for path, record in find_records(folder) if completed(record)}  # fmt: skip


def completed(record: RunRecord) -> bool:
    assert record.status == "completed", f"{record.name}: {record.error}"
    return True


def _lasting(record: RunRecord) -> dict[str, Any]:
    values = {name: value for name, value in dataclasses.asdict(record).items() if name not in _OF_THE_COURSE}
    return dict(_without_clocks(values))


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clocks(item) for key, item in value.items() if not key.endswith(_OF_THE_CLOCK)}
    return [_without_clocks(item) for item in value] if isinstance(value, list) else value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [text for key in keys for text in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [
            text for i, (a, b) in enumerate(zip(one, other, strict=True)) for text in differences(a, b, f"{where}/{i}")
        ]
    return [] if one == other else [f"{where}: {json.dumps(one)} or {json.dumps(other)}"]


class _Silent:
    def begins(self, run: str) -> None: ...

    def stage(self, run: str, stage: str) -> None: ...


def run_here(results_path: str, task: TaskValue) -> None:
    """As a worker would, in a process that does nothing else."""
    for ended in Executor(Settings(results_path, began=now()), _Silent()).run(task):
        assert ended.status == "completed", f"{ended.name}: {ended.error}"


def run_in_forks(chosen: list[NamedConfig], results_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        runs = plan(chosen)
        tasks = [TaskValue([run.name], [run.config.model_dump(mode="json")], [run.plan_id]) for run in runs]
        for future in [pool.submit(run_here, str(results_path), task) for task in tasks]:
            future.result()


def test_runs_that_share_a_worker_give_what_each_gives_in_its_own_process(tmp_path: Path) -> None:
    every = configs(tmp_path)
    assert {name for name, _ in every} >= UNDER_PROCESS_ISOLATION - {"init umap", "nf4"}
    run_experiments(
        [one for one in every if one.name in UNDER_PROCESS_ISOLATION],
        tmp_path / "alone",
        isolation="process",
        workers=2,
    )
    run_in_forks([one for one in every if one.name not in UNDER_PROCESS_ISOLATION], tmp_path / "alone")
    random.Random(ORDER).shuffle(every)
    run_experiments(every, tmp_path / "shared", isolation="worker", workers=1)
    alone, shared = results(tmp_path / "alone"), results(tmp_path / "shared")
    assert set(alone) == set(shared) == {name for name, _ in every}
    different = {name: differences(alone[name], shared[name]) for name in alone}
    assert not {name: texts[:5] for name, texts in different.items() if texts}
