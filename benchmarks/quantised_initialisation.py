"""What 4-bit weights take away, and what each LoRA initialisation makes of it, on SST-2.

    python benchmarks/quantised_initialisation.py --assets ../shared

The pretrained 31 M parameter model of the assets in bitsandbytes nf4, with an adapter (r = alpha = 16, all linear
layers) of each initialisation. Before training: mean Kullback-Leibler divergence of the label probabilities from those
of the unquantised model, and how often the most probable label is the same, over the test rows (data-driven
initialisations see the shots of the first seed). After training (32 shots per label, 8 epochs, one learning rate for
all, three seeds): accuracy. The unquantised model with PEFT's default stands beside. Writes
`benchmarks/results/quantised_initialisation.json` and a table beside it after each row, and with `--resume` keeps the
rows that are there already.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import commit

import sft
from sft.config.load import config_from_value
from sft.environment import environment
from sft.models.source import find_model
from sft.pipeline.answer import Answerer
from sft.pipeline.model import load
from sft.pipeline.prepare import Prepared, prepare
from sft.prompting.labelled import LabelledIds
from sft.training.attach import attach
from sft.training.sequences import loss_labels, training_sequences

NF4 = {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
INITIALISATIONS = ("default", "pca", "pissa", "milora", "olora", "corda", "eva", "lora_ga", "loftq")
SEEDS = (13, 14, 15)
NO_ADAPTER = "(no adapter)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--max-n-test", type=int, default=500)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--only", nargs="*", default=INITIALISATIONS)
    parser.add_argument("--commit", default=None, help="Where the tree is no git checkout.")
    parser.add_argument("--resume", action="store_true", help="Keep rows of the same commit, rows and learning rate.")
    arguments = parser.parse_args()
    report = {
        "rows": [],
        "seeds": list(SEEDS),
        "test_rows": arguments.max_n_test,
        "learning_rate": arguments.learning_rate,
        "environment": environment(),
        "commit": arguments.commit or commit(),
    }
    file = arguments.out / "quantised_initialisation.json"
    if arguments.resume and file.exists():
        before = json.loads(file.read_text())
        if any(before[name] != report[name] for name in report if name != "rows"):
            parser.error(f"{file} is of another commit, machine or setting")
        report["rows"] = before["rows"]
    reference = probabilities(config(arguments, "default", SEEDS[0], quantised=False), adapted=False)
    for weights, name in [("float32", "default"), ("nf4", NO_ADAPTER), *(("nf4", name) for name in arguments.only)]:
        if any((row["weights"], row["initialisation"]) == (weights, name) for row in report["rows"]):
            continue
        row = {"weights": weights, "initialisation": name} | measured(arguments, weights, name, reference)
        print(row, flush=True)
        report["rows"].append(row)
        write(report, file)
    print(markdown(report))


def measured(arguments: argparse.Namespace, weights: str, name: str, reference: np.ndarray) -> dict[str, Any]:
    if weights == "float32":
        return trained(arguments, name, quantised=False)
    if name == NO_ADAPTER:
        return distance(reference, probabilities(config(arguments, "default", SEEDS[0]), adapted=False))
    before = distance(reference, probabilities(config(arguments, name, SEEDS[0]), adapted=True))
    return {**before, **trained(arguments, name)}


def write(report: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(json.dumps(report, indent=2) + "\n")
    file.with_suffix(".md").write_text(markdown(report))


def config(arguments: argparse.Namespace, name: str, seed: int, *, quantised: bool = True) -> sft.ExperimentConfig:
    value = {
        "dataset": {
            "path": str(arguments.assets / "data/sst2"),
            "task_type": "classification",
            "shots": 32,
            "max_n_test": arguments.max_n_test,
            "labels": {"negative": " terrible", "positive": " great"},
        },
        "model": {"name": str(arguments.assets / "models/base-31m"), "quantization": NF4 if quantised else None},
        "prompting": {
            "input_columns": ["text"],
            "output_column": "label",
            "format": "plain",
            "template": "Review: {text}\nIt was",
        },
        "lora": {
            "r": 16,
            "lora_alpha": 16,
            "target_modules": "all-linear",
            "init_lora_weights": True if name == "default" else name,
        },
        "training": {
            "trainer_args": {
                "num_train_epochs": 8,
                "learning_rate": arguments.learning_rate,
                "per_device_train_batch_size": 8,
                "gradient_checkpointing": False,
            }
        },
        "inference": {},
        "seed": seed,
    }
    return config_from_value(value, "benchmark", endpoint="run-experiment")


def probabilities(one: sft.ExperimentConfig, *, adapted: bool) -> np.ndarray:
    """[N, L] label probabilities of the test rows, before any training."""
    prepared = prepare(one)
    loaded = load(one, find_model(one.model))
    if adapted:
        assert one.adapter_spec is not None
        attached = attach(loaded.model, one.adapter_spec, rows=rows_of(prepared, loaded), seed=one.seed)
        attached.start()
        loaded.model = attached.model.eval()
    answers = Answerer(prepared, loaded).answer(prepared.test)
    assert answers.probabilities is not None
    gc.collect()
    return answers.probabilities


def rows_of(prepared: Prepared, loaded: Any) -> list[Any]:
    builder = Answerer(prepared, loaded).training_builder(None)
    sequences = training_sequences(prepared.pool, prepared.training_examples(), builder)
    return [LabelledIds(sequence.ids, loss_labels(sequence)) for sequence in sequences]


def distance(reference: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Mean KL(reference ‖ found) in nats, and the share of rows with the same most probable label."""
    divergence = np.sum(reference * (np.log(reference) - np.log(found)), axis=1)
    return {
        "kl": float(divergence.mean()),
        "agreement": float((reference.argmax(axis=1) == found.argmax(axis=1)).mean()),
    }


def trained(arguments: argparse.Namespace, name: str, *, quantised: bool = True) -> dict[str, Any]:
    accuracies, seconds = [], []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as results:
            record = sft.run_experiment(config(arguments, name, seed, quantised=quantised), results).record
        accuracies.append(record.results["accuracy"])
        seconds.append(record.timings["total"])
    return {
        "accuracy": statistics.fmean(accuracies),
        "sd": statistics.stdev(accuracies),
        "accuracies": accuracies,
        "seconds": seconds,
    }


def markdown(report: dict[str, Any]) -> str:
    machine = report["environment"]
    where = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['threads']} threads"
    lines = [
        "| weights | initialisation | KL before | agreement before | accuracy after ± sd |",
        "|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        before = f"{row['kl']:.4f} | {row['agreement']:.3f}" if "kl" in row else "0 | 1"
        after = f"{row['accuracy']:.3f} ± {row['sd']:.3f}" if "accuracy" in row else "–"
        lines.append(f"| {row['weights']} | {row['initialisation']} | {before} | {after} |")
    return "\n".join(
        [
            "# Initialisations on 4-bit weights",
            "",
            f"base-31m (pretrained for this project) on {report['test_rows']} rows of SST-2; 32 shots per label, 8 "
            f"epochs, learning rate {report['learning_rate']:g} for all, {len(report['seeds'])} seeds. {where}; torch "
            f"{machine['versions']['torch']}, bitsandbytes {machine['versions']['bitsandbytes']}; commit "
            f"{report['commit']}. KL: nats, from the unquantised model.",
            "",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
