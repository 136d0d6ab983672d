"""LoRA initialisations on SST-2, each with the learning rate that its own shots choose.

    python benchmarks/initialisation_sweep.py --assets ../shared --processes 2

Runs `etc/configs/jsonnet/initialisations.jsonnet` on the SST-2 rows and the pretrained 31 M parameter model of the
assets: initialisations × 3 learning rates × 16 and 64 shots per label × 3 seeds, several runs at a time; finished runs
in `--results` are not repeated. The learning rate of an initialisation (for a number of shots) is the one with the best
accuracy of the shots by adapters that hadn't seen them (2 folds; mean over seeds; ties by their log-likelihood). Then
the test accuracies are compared with PEFT's default at its own best rate: difference of the means with a 95 % crossed
bootstrap interval (seeds × test rows), and its two-sided p, Holm-corrected over the table.
Writes `benchmarks/results/initialisation_sweep.json` and a table beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from calibration import holm
from machine import commit

import sft
from sft.environment import environment
from sft.records import read_items, read_support

SWEEP = Path(__file__).parents[1] / "etc/configs/jsonnet/initialisations.jsonnet"
BASELINE = "default"
RESAMPLES = 9999


class Key(NamedTuple):
    """One training recipe: everything but the seed."""

    initialisation: str
    learning_rate: float
    shots: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--results", type=Path, default=Path("results/initialisation_sweep"))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="Start no run after so many seconds.")
    parser.add_argument("--only", default="", help="Only runs whose name begins so, to try the script.")
    parser.add_argument("--max-n-test", type=int, default=1000)
    parser.add_argument("--commit", default=None, help="Where the tree is no git checkout.")
    arguments = parser.parse_args()
    overrides = [
        f"model.name={arguments.assets / 'models/base-31m'}",
        f"dataset.path={arguments.assets / 'data/sst2'}",
        "prompting.output_column=label",
        "training.trainer_args.gradient_checkpointing=false",
        f"dataset.max_n_test={arguments.max_n_test}",
    ]
    names = [n.name for n in sft.load_configs(SWEEP, overrides=overrides) if n.name.startswith(arguments.only)]
    # Round by round of seeds, so that a run cut short is complete for fewer seeds.
    names.sort(key=lambda name: name.rsplit("seed=", 1)[1])
    deadline = time.monotonic() + arguments.seconds
    tasks = [(name, overrides, str(arguments.results), deadline) for name in names]
    threads = max(1, (os.cpu_count() or 1) // arguments.processes)
    with multiprocessing.get_context("spawn").Pool(arguments.processes, set_threads, (threads,)) as pool:
        done = {name: folder for name, folder in pool.imap_unordered(run, tasks, chunksize=1) if folder is not None}
    print(f"{len(done)} of {len(names)} runs are finished", flush=True)
    report = {
        "rows": table(done),
        "runs": [summary(name, Path(folder)) for name, folder in sorted(done.items())],
        "environment": environment(),
        "processes": arguments.processes,
        "commit": arguments.commit or commit(),
    }
    arguments.out.mkdir(exist_ok=True, parents=True)
    (arguments.out / "initialisation_sweep.json").write_text(json.dumps(report, indent=2) + "\n")
    text = markdown(report)
    (arguments.out / "initialisation_sweep.md").write_text(text)
    print(text)


def set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def run(task: tuple[str, list[str], str, float]) -> tuple[str, str | None]:
    """The run's name, and its folder; None where the time is over."""
    name, overrides, results, deadline = task
    results_of = Path(results) / "".join(c if c.isalnum() or c in "=.-" else "_" for c in name)
    found = list(results_of.glob("*/record.json"))
    if found:
        return name, str(found[0].parent)
    if time.monotonic() > deadline:
        return name, None
    config = next(n.config for n in sft.load_configs(SWEEP, overrides=overrides) if n.name == name)
    finished = sft.run_experiment(config, results_of)
    print(name, f"{finished.record.results['accuracy']:.3f}", f"{finished.record.timings['total']:.0f} s", flush=True)
    return name, str(finished.folder)


def key_of(name: str) -> tuple[Key, int]:
    initialisation, rest = name.split(" lr=")
    rate, shots, seed = rest.replace("shots=", "").replace("seed=", "").split()
    return Key(initialisation, float(rate), int(shots)), int(seed)


def summary(name: str, folder: Path) -> dict[str, Any]:
    record = sft.read_record(folder)
    return {
        "name": name,
        "accuracy": record.results["accuracy"],
        "nll": record.results["nll"],
        **dict(zip(("shots_accuracy", "shots_log_likelihood"), on_shots(folder), strict=True)),
        "train_loss": record.training["loss"],
        "initialization_seconds": (record.training["initialization"] or {}).get("seconds", 0.0),
        "seconds": record.timings,
    }


def on_shots(folder: Path) -> tuple[float, float]:
    """Accuracy and mean log-likelihood of the shots' labels, each by an adapter that hadn't seen it."""
    labels = sft.read_record(folder).data["labels"]
    right, likelihoods = [], []
    for one in read_support(folder):
        if one["kind"] == "shot":
            scores = np.array(one["scores"])
            right.append(labels[int(scores.argmax())] == one["reference"])
            likelihoods.append(scores[labels.index(one["reference"])] - np.logaddexp.reduce(scores))
    return float(np.mean(right)), float(np.mean(likelihoods))


def correct(folder: Path) -> np.ndarray:
    return np.array([item["prediction"] == item["reference"] for item in read_items(folder)], dtype=float)


def table(done: dict[str, str]) -> list[dict[str, Any]]:
    folders: dict[Key, dict[int, Path]] = defaultdict(dict)
    for name, folder in done.items():
        key, seed = key_of(name)
        folders[key][seed] = Path(folder)
    rows = []
    for shots in sorted({key.shots for key in folders}):
        names = sorted({key.initialisation for key in folders}, key=lambda name: (name != BASELINE, name))
        chosen = {name: best(folders, name, shots) for name in names}
        base = by_seed(folders[chosen[BASELINE]])
        tests = {name: crossed_bootstrap(base, by_seed(folders[chosen[name]])) for name in names if name != BASELINE}
        adjusted = dict(zip(tests, holm([test["p"] for test in tests.values()]), strict=True))
        for name in names:
            accuracies = [float(value.mean()) for value in by_seed(folders[chosen[name]]).values()]
            rows.append(
                {
                    "shots": shots,
                    "initialisation": name,
                    "learning_rate": chosen[name].learning_rate,
                    "seeds": len(accuracies),
                    "accuracy": statistics.fmean(accuracies),
                    "sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
                    "by_rate": {
                        f"{key.learning_rate:g}": statistics.fmean(v.mean() for v in by_seed(folders[key]).values())
                        for key in sorted(folders)
                        if (key.initialisation, key.shots) == (name, shots)
                    },
                    **({**tests[name], "p_holm": adjusted[name]} if name in tests else {}),
                }
            )
    return rows


def best(folders: dict[Key, dict[int, Path]], initialisation: str, shots: int) -> Key:
    """The learning rate that the shots choose."""

    def quality(key: Key) -> tuple[float, float]:
        scores = [on_shots(folder) for folder in folders[key].values()]
        return statistics.fmean(s[0] for s in scores), statistics.fmean(s[1] for s in scores)

    return max((key for key in folders if (key.initialisation, key.shots) == (initialisation, shots)), key=quality)


def by_seed(folders: dict[int, Path]) -> dict[int, np.ndarray]:
    return {seed: correct(folder) for seed, folder in sorted(folders.items())}


def crossed_bootstrap(base: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> dict[str, Any]:
    """Mean accuracy of `other` less that of `base`, seeds and test rows resampled independently of one another."""
    seeds = sorted(base.keys() & other.keys())
    differences = np.stack([other[seed] - base[seed] for seed in seeds])  # [seeds, rows]
    generator = np.random.default_rng(13)
    n_seeds, n_rows = differences.shape
    weights = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), RESAMPLES) / n_seeds
    rows = generator.multinomial(n_rows, np.full(n_rows, 1 / n_rows), RESAMPLES) / n_rows
    drawn = np.einsum("rs,sn,rn->r", weights, differences, rows, optimize=True)
    low, high = np.quantile(drawn, [0.025, 0.975])
    p = min(1.0, 2 * min(np.mean(drawn <= 0), np.mean(drawn >= 0)) + 1 / RESAMPLES)
    return {"difference": float(differences.mean()), "interval": [float(low), float(high)], "p": float(p)}


def markdown(report: dict[str, Any]) -> str:
    machine = report["environment"]
    where = ", ".join(machine["gpus"]) or f"{machine['cpu']}, {machine['threads']} threads"
    parts = [
        "# Initialisations of LoRA on SST-2",
        f"base-31m (pretrained for this project), r = alpha = 16 on all linear layers. {where}; torch "
        f"{machine['versions']['torch']}, peft {machine['versions']['peft']}; commit {report['commit']}.",
        "lr: chosen for each initialisation by 2-fold cross-validation on the shots. Difference: to PEFT's default at "
        "its own rate, with the 95 % interval of a crossed bootstrap (seeds × test rows); p Holm-corrected over the "
        "initialisations of one number of shots. Fewer than 5 seeds: intervals over seeds are rough.",
    ]
    for shots in sorted({row["shots"] for row in report["rows"]}):
        rows = [row for row in report["rows"] if row["shots"] == shots]
        rates = sorted({rate for row in rows for rate in row["by_rate"]}, key=float)
        header = [
            "initialisation",
            "lr",
            "accuracy ± sd",
            "difference",
            "p",
            *(f"accuracy at {rate}" for rate in rates),
        ]
        lines = [header, ["---"] * len(header), *(cells(row, rates) for row in rows)]
        parts.append(f"## {shots} shots per label, {rows[0]['seeds']} seeds")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def cells(row: dict[str, Any], rates: list[str]) -> list[str]:
    spread = "" if row["sd"] is None else f" ± {row['sd']:.3f}"
    shown = [row["initialisation"], f"{row['learning_rate']:g}", f"{row['accuracy']:.3f}{spread}"]
    if "difference" in row:
        low, high = row["interval"]
        shown += [f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]", f"{row['p_holm']:.2g}"]
    else:
        shown += ["", ""]
    return [*shown, *(f"{row['by_rate'][rate]:.3f}" if rate in row["by_rate"] else "" for rate in rates)]


if __name__ == "__main__":
    main()
