"""Accuracy on SciQ: the right one of four candidates by their scores, zero-shot and after LoRA on 64 shots.

    python benchmarks/multiple_choice.py --assets ../shared

The pretrained 31 M parameter model of the assets answers the 400 test rows from the question alone, and from the
supporting paragraph and the question (lm-eval's prompt for SciQ), zero-shot and with LoRA (r=16 on all linear layers,
learning rate 1e-3, 4 epochs) on 64 shots in total with 3 seeds. Every score normalisation is then applied to the stored
scores, as `sft results calibrate` does. Chance is 0.25. Runs that are finished in `--results` are not repeated. Writes
`benchmarks/results/multiple_choice.json` and the table beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from machine import commit

import sft
from sft.api import aggregate_results, calibrate_results, run_experiments
from sft.config.load import NamedConfig, config_from_value
from sft.environment import environment

SHOTS, SEEDS = 64, (13, 14, 15)
INPUTS = {
    "question": "Question: {question}\nAnswer: ",
    "support and question": "{support}\nQuestion: {question}\nAnswer: ",
}
NORMALIZATIONS = ("tokens", "characters", "pmi")  # all candidates but a handful are ASCII: bytes are characters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--results", type=Path, default=Path("results/multiple_choice"))
    parser.add_argument("--max-n-test", type=int, help="A part of the test set, to try the script.")
    arguments = parser.parse_args()
    configs = [
        NamedConfig(f"{inputs}, {shots} shots, seed {seed}", config(arguments, inputs, shots, seed))
        for shots, seeds in ((0, SEEDS[:1]), (SHOTS, SEEDS))
        for inputs in INPUTS
        for seed in seeds
    ]
    sweep = run_experiments(configs, arguments.results)
    calibrate_results([arguments.results], ["none"], normalizations=NORMALIZATIONS)
    table, _ = aggregate_results([arguments.results], formats=["md"])
    text = (arguments.results / "aggregated_results.md").read_text(encoding="utf-8")
    rows = [
        {
            "settings": {name: row.settings.get(name) for name in table.varying},
            "seeds": len(row.seeds) or 1,
            **{name: summary(row.metrics[name]) for name in ("accuracy", "nll", "ece")},
        }
        for row in table.configurations
    ]
    report = {
        "rows": rows,
        "chance": 0.25,
        "shots": SHOTS,
        "seconds": {outcome.name: outcome.record.timings for outcome in sweep.outcomes},
        "environment": environment(),
        "commit": commit(),
    }
    arguments.out.mkdir(exist_ok=True)
    (arguments.out / "multiple_choice.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "multiple_choice.md").write_text(text, encoding="utf-8")
    print(text)


def summary(value: Any) -> dict[str, float | None]:
    return {"mean": value.mean, "sd": value.sd, "low": value.low, "high": value.high}


def config(arguments: argparse.Namespace, inputs: str, shots: int, seed: int) -> sft.ExperimentConfig:
    value = {
        "dataset": {
            "path": str(arguments.assets / "data/sciq"),
            "task_type": "multiple_choice",
            "shots": shots,
            "max_n_test": arguments.max_n_test,
        },
        "model": {"name": str(arguments.assets / "models/base-31m")},
        "prompting": {
            "input_columns": inputs.split(" and "),
            "candidate_columns": ["A", "B", "C", "D"],
            "output_column": "label",
            "format": "plain",
            "template": INPUTS[inputs],
        },
        "lora": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "training": {
            "trainer_args": {"num_train_epochs": 4, "learning_rate": 1e-3, "per_device_train_batch_size": 8},
        },
        "inference": {},
        "evaluation": {"metrics": ["accuracy", "nll", "ece"]},
        "seed": seed,
    }
    return config_from_value(value, "benchmark", endpoint="run-experiment")


if __name__ == "__main__":
    main()
