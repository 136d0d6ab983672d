"""Training objectives for classification: the next token, the labels' cross-entropy, T-Few's three losses.

    python benchmarks/objectives.py --assets ../shared

LoRA (r=16 on all linear layers) on the pretrained 31 M parameter model of the assets: 3 data sets × 16 and 64 shots per
label × 3 seeds × 3 objectives, 500 test rows (the same for all). The data sets are sst2 (2 labels of one token), trec
(6 labels of several tokens) and six labels of banking77 that begin or end alike. The learning rate and the epochs are
those that did well on sst2 with next_token; they were tuned for no objective here, so a difference is one at these
values (`--learning-rate` tries others). Labels are scored by the sum over their tokens; the table also has the results
of scores per token, which T-Few uses.

Every finished run is written into `benchmarks/results/objectives.json`, with the table beside it, and is not run again:
the command can be stopped and repeated. Differences to next_token are paired by seed and test row, with intervals of
the crossed bootstrap over both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import commit

import sft
from sft.config.load import config_from_value
from sft.environment import environment
from sft.evaluation.statistics.bootstrap import ResampledRuns, crossed_bootstrap
from sft.evaluation.statistics.interval import percentile_interval
from sft.label_scores import log_probs_of, log_softmax
from sft.progress import hush_libraries
from sft.records import read_items

OBJECTIVES = ("next_token", "label_cross_entropy", "tfew")
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
RESAMPLES = 9999
BASELINE = OBJECTIVES[0]


class Task(NamedTuple):
    """folder: of the assets' data. labels: value → verbalisation; rows with other values are left out."""

    folder: str
    template: str
    labels: dict[str, str]


def _spoken(*names: str) -> dict[str, str]:
    return {name: " " + name.replace("_", " ") for name in names}


TASKS = {
    "sst2": Task("sst2", "Review: {text}\nIt was", {"negative": " terrible", "positive": " great"}),
    "trec": Task(
        "trec",
        "Question: {text}\nAsks about:",
        {
            "abbreviation": " an abbreviation",
            "description": " a description",
            "entity": " a thing",
            "human": " a person",
            "location": " a place",
            "number": " a number",
        },
    ),
    "banking77-6": Task(
        "banking77",
        "Customer: {text}\nTopic:",
        _spoken(
            "card_payment_fee_charged",
            "card_payment_not_recognised",
            "card_payment_wrong_exchange_rate",
            "cash_withdrawal_charge",
            "cash_withdrawal_not_recognised",
            "wrong_exchange_rate_for_cash_withdrawal",
        ),
    ),
}


class Setting(NamedTuple):
    """What tells one run from another."""

    task: str
    shots: int
    seed: int
    objective: str
    model: str
    test_rows: int
    learning_rate: float
    epochs: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--model", default="base-31m")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--shots", default="16,64", help="per label")
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--rows", type=int, default=500, help="test rows")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--commit", help="what to sign with where there is no git")
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="folders whose finished runs to take over")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    hush_libraries()
    report = read(arguments.out)
    for folder in arguments.add:
        added = read(folder)
        report["runs"] += [run for run in added["runs"] if run not in report["runs"]]
        report["environment"] = added["environment"]
    with tempfile.TemporaryDirectory() as scratch:
        for setting in settings(arguments):
            if any(run["setting"] == setting._asdict() for run in report["runs"]):
                continue
            run = measure(setting, arguments.assets, Path(scratch))
            report["runs"].append(run | {"commit": arguments.commit or commit()})
            report["environment"] = environment()
            write(arguments.out, report)
            print(setting, f"accuracy {run['accuracy']:.3f}", f"nll {run['nll']:.3f}", flush=True)
    write(arguments.out, report)
    print(table(report))


def settings(arguments: argparse.Namespace) -> Iterator[Setting]:
    """All objectives of one pool follow one another, so that a part of the whole is a comparison already."""
    shots, seeds = (map(int, text.split(",")) for text in (arguments.shots, arguments.seeds))
    names = arguments.tasks.split(",")
    for seed, task, n, objective in itertools.product(seeds, names, list(shots), OBJECTIVES):
        yield Setting(
            task, n, seed, objective, arguments.model, arguments.rows, arguments.learning_rate, arguments.epochs
        )


def measure(setting: Setting, assets: Path, scratch: Path) -> dict[str, Any]:
    """One run: its metrics, and of each test row whether it is answered rightly and the right label's surprise."""
    run = sft.run_experiment(config(setting, data_of(setting.task, assets, scratch), assets), scratch / "results")
    (normalized,) = sft.calibrate_results([run.folder], ["none"], normalizations=["tokens"]).folders
    items, record, per_token = list(read_items(run.folder)), run.record, sft.read_record(normalized).results
    assert record.training is not None
    labels = list(TASKS[setting.task].labels)
    log_probs = log_softmax(np.stack([log_probs_of(item) for item in items]))
    right = [labels.index(item["reference"]) for item in items]
    return {
        "setting": setting._asdict(),
        "run_id": record.run_id,
        **{name: record.results[name] for name in ("accuracy", "macro_f1", "nll", "ece")},
        "accuracy_per_token": per_token["accuracy"],
        "nll_per_token": per_token["nll"],
        "pool_rows": record.counts["pool_rows"],
        "training_seconds": record.timings["training"],
        "steps": record.training["steps"],
        "tokens": record.training["tokens"],
        "objective": record.training["objective"],
        "final_loss": record.training["loss"],
        "device": (environment()["gpus"] or [environment()["cpu"]])[0],
        "correct": "".join(str(int(item["prediction"] == item["reference"])) for item in items),
        "row_nll": " ".join(f"{-row[label]:.4f}" for row, label in zip(log_probs, right, strict=True)),
    }


def data_of(task: str, assets: Path, scratch: Path) -> Path:
    """A folder with the rows of the task's labels."""
    folder, labels = scratch / task, TASKS[task].labels
    folder.mkdir(exist_ok=True)
    for split in ("train.jsonl", "test.jsonl"):
        lines = (assets / "data" / TASKS[task].folder / split).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["label"] in labels]
        (folder / split).write_text("\n".join(kept) + "\n", encoding="utf-8")
    return folder


def config(setting: Setting, data: Path, assets: Path) -> sft.ExperimentConfig:
    task = TASKS[setting.task]
    value = {
        "dataset": {
            "path": str(data),
            "task_type": "classification",
            "shots": setting.shots,
            "max_n_test": setting.test_rows,
            "labels": task.labels,
        },
        "model": {"name": str(assets / "models" / setting.model)},
        "prompting": {
            "input_columns": ["text"],
            "output_column": "label",
            "format": "plain",
            "template": task.template,
        },
        "lora": LORA,
        "training": {
            "objective": setting.objective,
            "trainer_args": {
                "num_train_epochs": setting.epochs,
                "learning_rate": setting.learning_rate,
                "per_device_train_batch_size": 8,
            },
        },
        "inference": {},
        "seed": setting.seed,
    }
    return config_from_value(value, "benchmark", endpoint="run-experiment")


def read(out: Path) -> dict[str, Any]:
    path = out / "objectives.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"runs": []}
    return found


def write(out: Path, report: dict[str, Any]) -> None:
    out.mkdir(exist_ok=True)
    report |= {"lora": LORA, "templates": {name: task.template for name, task in TASKS.items()}}
    report["comparisons"] = comparisons(report["runs"])
    for name, text in (("objectives.json", json.dumps(report, indent=2) + "\n"), ("objectives.md", table(report))):
        temporary = out / f".{name}.tmp"
        temporary.write_text(text)
        temporary.replace(out / name)


def comparisons(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per objective of every group of runs that differ in objective and seed alone."""
    groups: dict[tuple[Any, ...], dict[str, dict[int, dict[str, Any]]]] = {}
    for run in runs:
        setting = Setting(**run["setting"])
        key = tuple(setting._replace(seed=0, objective=""))
        groups.setdefault(key, {}).setdefault(setting.objective, {})[setting.seed] = run
    return [
        compared(Setting(*key), objective, by_seed, group.get(BASELINE, {}))
        for key, group in groups.items()
        for objective, by_seed in group.items()
    ]


def compared(
    setting: Setting, objective: str, by_seed: dict[int, dict[str, Any]], baseline: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    shared = sorted(by_seed.keys() & baseline.keys())
    entry: dict[str, Any] = {
        **{name: value for name, value in setting._asdict().items() if name != "seed"},
        "objective": objective,
        "seeds": sorted(by_seed),
        **{
            name: summary([run[name] for run in by_seed.values()])
            for name in ("accuracy", "accuracy_per_token", "nll", "nll_per_token", "ece", "training_seconds")
        },
    }
    if objective != BASELINE and shared:
        for name, of in (("accuracy", rights), ("nll", surprises)):
            differences = np.stack([of(by_seed[seed]) - of(baseline[seed]) for seed in shared])
            entry[f"{name}_difference"] = paired(differences, shared)
    return entry


def summary(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else None}


def rights(run: dict[str, Any]) -> np.ndarray:
    """[N]"""
    return np.array([float(c) for c in run["correct"]])


def surprises(run: dict[str, Any]) -> np.ndarray:
    """[N], nats."""
    return np.array(run["row_nll"].split(), dtype=np.float64)


def paired(differences: np.ndarray, seeds: Sequence[int]) -> dict[str, Any]:
    """The mean of [seeds, N] differences, with a 95 % interval over seeds and rows (rows alone for one seed)."""

    def runs() -> ResampledRuns:
        return ResampledRuns(
            [{"seed": seed} for seed in seeds],
            {"d": differences[:, :, None]},
            {"d": lambda sums, rows: {"difference": sums[0] / rows}},
        )

    (samples,) = crossed_bootstrap([runs], differences.shape[1], RESAMPLES)
    return {
        "mean": float(differences.mean()),
        "interval": list(percentile_interval(samples["difference"])),
        "by_seed": differences.mean(axis=1).tolist(),
    }


def table(report: dict[str, Any]) -> str:
    """Markdown, of the comparisons in the report."""
    found = report.get("comparisons", [])
    lines = [
        "Training objectives, LoRA on few shots; mean ± standard deviation over seeds. Differences are to next_token, "
        "on the same seeds and test rows, with 95 % intervals of the crossed bootstrap over seeds and rows (one seed: "
        "over rows). Untuned: one learning rate and one number of epochs for all (see the command's help).",
        "",
        "| data | shots | model, lr, epochs, test rows | objective | seeds | accuracy | Δ accuracy | nll | Δ nll | ece "
        "| accuracy, per token | nll, per token | training s |",
        "|" + "---|" * 13,
    ]
    for one in found:
        what = f"{one['model']}, {one['learning_rate']:g}, {one['epochs']:g}, {one['test_rows']}"
        cells = [one["task"], one["shots"], what, one["objective"], len(one["seeds"])]
        cells += [spread(one["accuracy"]), shown(one.get("accuracy_difference"))]
        cells += [spread(one["nll"]), shown(one.get("nll_difference")), spread(one["ece"])]
        cells += [spread(one["accuracy_per_token"]), spread(one["nll_per_token"])]
        cells += [f"{one['training_seconds']['mean']:.0f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def spread(value: dict[str, float]) -> str:
    return f"{value['mean']:.3f}" if value["sd"] is None else f"{value['mean']:.3f} ± {value['sd']:.3f}"


def shown(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return "–"
    low, high = difference["interval"]
    return f"{difference['mean']:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
