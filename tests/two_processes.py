"""Runs that tests/e2e/test_distributed.py compares: made in its own process, and by two that `torchrun` starts.

    torchrun --nproc-per-node 2 -m tests.two_processes FOLDER

FOLDER holds the configs. Each process writes what it got into `seen-<its number>.json`.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sft import cli, distributed
from sft.config.load import load_config
from sft.config.schema import ExperimentConfig
from sft.pipeline.endpoints import run_experiment, train
from sft.pipeline.predict import predict

EXPERIMENTS = ("flat", "labels", "folds", "generated")


def make_runs(folder: Path) -> dict[str, Any]:
    """Every run, each with a results folder of its own; by name what it gave to this process."""

    def config(name: str) -> ExperimentConfig:
        return load_config(folder / f"{name}.json")

    made: dict[str, Any] = {}
    for name in EXPERIMENTS:
        made[name] = asdict(run_experiment(config(name), folder / "results" / name).record)
    trained = train(config("trained")).summary
    made |= {"trained": trained.log, "padding": trained.computation["padding"]}
    predict(config("trained"), folder / "predicted.tsv", checkpoint=str(folder / "trained"))
    return made


def evaluation(folder: Path) -> list[str]:
    """Of the command line, of what `make_runs` has trained."""
    arguments = [
        folder / "trained.json",
        "--checkpoint",
        folder / "trained",
        "--results-path",
        folder / "results/evaluated",
    ]
    return ["sft", "evaluate", *map(str, arguments)]


def resume(folder: Path) -> list[dict[str, Any]]:
    """The log of the last training of `make_runs`, had it gone on from its first checkpoint."""
    distributed.on_main(lambda: interrupt(folder / "trained", folder / "resumed"))
    return train(load_config(folder / "resumed.json"), resume=True).summary.log


def interrupt(whole: Path, folder: Path) -> None:
    """Make of a training's folder what it was after its first checkpoint."""
    folder.mkdir()
    shutil.copy(whole / "sft_config.json", folder)
    shutil.copytree(whole / "checkpoint-4", folder / "checkpoint-4")


def failure_of_main() -> str:
    """What this process makes of an error that the first has in `on_main`."""

    def fail() -> None:
        raise KeyError("unheard of")

    try:
        distributed.on_main(fail)
    except KeyError:
        return "raised"
    except distributed.OtherProcessError as error:
        return f"told: {error}"
    return "nothing"


def whole_after_sharding() -> bool:
    """Whether a trained weight that FSDP2 had spread is as before, and a frozen one still spread."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from sft.training.sharded import make_whole

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False), torch.nn.Linear(4, 2, bias=False))
    model[1].weight.requires_grad_(False)
    before = model[0].weight.detach().clone()
    fully_shard(model, mesh=init_device_mesh("cpu", (distributed.world_size(),)))
    assert isinstance(model[0].weight, DTensor)
    make_whole(model)
    return torch.equal(model[0].weight, before) and isinstance(model[1].weight, DTensor)


def main(folder: Path) -> None:
    distributed.join()
    torch.manual_seed(distributed.rank())
    drawn = torch.rand(3)
    distributed.same_tensors([drawn])
    seen = {
        "gathered": distributed.gathered(distributed.rank()),
        "decided": distributed.on_main(distributed.rank),
        "failure": failure_of_main(),
        "same_tensors": drawn.tolist(),
        "whole": whole_after_sharding(),
        **make_runs(folder),
        "resumed": resume(folder),
    }
    (folder / f"seen-{distributed.rank()}.json").write_text(json.dumps(seen))
    sys.argv = evaluation(folder)
    cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
