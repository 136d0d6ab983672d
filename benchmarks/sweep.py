"""A sweep of short runs: how much of its wall-clock is training and scoring, against one process per run.

    python benchmarks/sweep.py --assets ../shared            (base-6m on a CPU)
    python benchmarks/sweep.py --assets ../shared --shape    (random weights of Qwen2.5-1.5B's shape, for a GPU)

24 configs (3 learning rates × shots 0, 4, 8, 16 per label × 2 seeds; sst2, 200 test rows). The 6 zero-shot ones are one
run, so the sweep does 19 runs, by a worker that keeps the model; the peer is `sft run-experiment` for each of the 24
(`--peer processes`), or the sweep with `--isolation process` (`--peer isolation`). Both on the same machine, one after
the other, and their records are compared. Compute is training plus scoring, as the records of the sweep have it. Writes
`sweep_cpu.json` or `sweep_gpu.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import commit

import sft
from sft.config.load import NamedConfig, config_from_value
from sft.experiments.live import Live
from sft.experiments.outcome import RunOutcome
from sft.records import RunRecord, find_records, read_items

LEARNING_RATES, SHOTS, SEEDS = (3e-4, 1e-3, 3e-3), (0, 4, 8, 16), (13, 14)
TOKENIZER = Path(__file__).parent.parent / "etc/quickstart/model"
QWEN_1_5B = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--shape", action="store_true", help="random weights of a 1.5B model instead of base-6m")
    parser.add_argument("--peer", choices=["processes", "isolation"], default="processes")
    parser.add_argument("--peer-every", type=int, default=1, help="take every n-th config only for the peer")
    parser.add_argument("--commit", help="what to sign with where git isn't there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = random_model(folder / "qwen-1.5b") if arguments.shape else arguments.assets / "models/base-6m"
        configs = configs_of(model, arguments.assets / "data/sst2")
        report = measure(configs, folder, arguments.peer, arguments.peer_every)
    signed = {"commit": arguments.commit or commit(), **report}
    path = arguments.out / f"sweep_{'gpu' if report['environment']['gpus'] else 'cpu'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in signed.items() if key not in ("runs", "environment")}, indent=2))


def configs_of(model: Path, data: Path) -> list[NamedConfig]:
    return [
        NamedConfig(f"shots={shots} lr={rate:g} seed={seed}", config(model, data, shots, rate, seed))
        for rate in LEARNING_RATES
        for shots in SHOTS
        for seed in SEEDS
    ]


def config(model: Path, data: Path, shots: int, rate: float, seed: int) -> Any:
    value = {
        "dataset": {"path": str(data.resolve()), "task_type": "classification", "shots": shots, "max_n_test": 200},
        "model": {"name": str(model.resolve())},
        "prompting": {
            "template": "Review: {text}\nIt was",
            "input_columns": ["text"],
            "output_column": "label",
            "format": "plain",
        },
        "lora": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "training": {"trainer_args": {"learning_rate": rate, "num_train_epochs": 8, "per_device_train_batch_size": 8}},
        "inference": {},
        "seed": seed,
    }
    value["dataset"]["labels"] = {"negative": " terrible", "positive": " great"}  # type: ignore[index]
    return config_from_value(value, "benchmark")


def random_model(folder: Path) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

    torch.manual_seed(0)
    config = Qwen2Config(**QWEN_1_5B, max_position_embeddings=32_768, dtype="bfloat16")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    torch.cuda.empty_cache()
    return folder


class Watch(Live):
    """Notes when runs begin and end. gaps: seconds from the end of a run to the begin of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.first: float | None = None
        self.gaps: list[float] = []
        self._end = 0.0

    def working(self, worker: int, run: str, stage: str) -> None:
        if stage == "data":
            if self.first is None:
                self.first = time.perf_counter()
            else:
                self.gaps.append(time.perf_counter() - self._end)

    def ended(self, outcome: RunOutcome) -> None:
        super().ended(outcome)
        self._end = time.perf_counter()
        print(
            f"{self.done}/{self.total} {outcome.name}: {outcome.record.timings.get('total', 0):.1f} s", file=sys.stderr
        )


def measure(configs: list[NamedConfig], folder: Path, peer: str, peer_every: int) -> dict[str, Any]:
    watch, began = Watch(), time.perf_counter()
    sft.run_experiments(configs, folder / "workers", live=watch)
    wall = time.perf_counter() - began
    records = [record for _, record in find_records(folder / "workers")]
    assert watch.first is not None
    start = watch.first - began
    failed = [f"{record.name}: {record.error}" for record in records if record.status == "failed"]
    if failed:
        sys.exit("\n".join(failed))
    compute = sum(record.timings.get("training", 0.0) + record.timings["inference"] for record in records)
    chosen = (configs if peer == "processes" else configs_done(configs, records))[::peer_every]
    began = time.perf_counter()
    if peer == "processes":
        run_one_by_one(chosen, folder)
    else:
        sft.run_experiments(chosen, folder / "processes", isolation="process", live=Watch())
    peer_wall = time.perf_counter() - began
    again = second_invocation(configs, folder)
    per_run = wall / len(configs if peer == "processes" else records)
    peer_per_run = peer_wall / len(chosen)
    return {
        "configs": len(configs),
        "runs": [run_summary(record) for record in records],
        "wall_seconds": wall,
        "start_seconds": start,
        "compute_seconds": compute,
        "wall_per_compute": wall / compute,
        "seconds_between_runs": (wall - start - sum(record.timings["total"] for record in records)) / len(records),
        "of_which_scheduler": sum(watch.gaps) / len(watch.gaps),
        "second_invocation_seconds": again,
        "process_per_run": {
            "peer": peer,
            "runs": len(chosen),
            "wall_seconds": peer_wall,
            "seconds_per_run": peer_per_run,
        },
        "times_faster_than_process_per_run": peer_per_run / per_run,
        "differing_runs": differing(folder),
        "environment": records[0].environment,
    }


def configs_done(configs: list[NamedConfig], records: list[RunRecord]) -> list[NamedConfig]:
    """Without those that were the same run as another."""
    names = {record.name for record in records}
    return [one for one in configs if one.name in names]


def run_one_by_one(configs: list[NamedConfig], folder: Path) -> None:
    for number, (name, config) in enumerate(configs, start=1):
        path = folder / "one.json"
        path.write_text(config.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "sft.cli", "run-experiment", str(path), "--results-path"]
        subprocess.run([*command, str(folder / "processes" / str(number))], check=True, capture_output=True)
        print(f"{number}/{len(configs)} {name} alone", file=sys.stderr)


def second_invocation(configs: list[NamedConfig], folder: Path) -> float:
    """Seconds of the command on the finished sweep, from the start of Python to its end."""
    values = {name: config.model_dump(mode="json") for name, config in configs}
    path = folder / "sweep.json"
    path.write_text(json.dumps({"configs": values}), encoding="utf-8")
    command = [sys.executable, "-m", "sft.cli", "run-experiments", str(path), "--results-path", str(folder / "workers")]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def differing(folder: Path) -> list[str]:
    """The runs whose results or scores aren't the same in both sweeps, to the last bit.

    Of the zero-shot configs, which are one run, the one that the sweep took: the others score other random words beside
    the rows, and so in other batches, which shows in the last bits.
    """
    ours = {record.run_id: (where, record) for where, record in find_records(folder / "workers")}
    peers = folder / "processes"
    found = []
    for where, record in (each for results in (peers, *peers.iterdir()) for each in find_records(results)):
        there, same = ours[record.run_id]
        if record.seed != same.seed:
            continue
        if record.results != same.results or read_items(where) != read_items(there):
            found.append(str(same.name))
    return found


def run_summary(record: RunRecord) -> dict[str, Any]:
    return {"name": record.name, "accuracy": record.results["accuracy"], "timings": record.timings}


if __name__ == "__main__":
    main()
