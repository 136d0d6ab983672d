"""go_emotions (28 labels): multi-label answers after LoRA on few shots, beside the bare model and TF-IDF; their cost.

    python benchmarks/multilabel.py --assets ../shared --seeds 13,14,15
    python benchmarks/multilabel.py --assets ../shared --cost

The first runs `sft` for every seed: the bare model with thresholds of 0.5, the bare model with thresholds chosen on the
shots, and LoRA (r=16 on all linear layers) on them: 32 shots per label, 2 folds for the thresholds. The baselines are
those of the records, on the same shots. The learning rate is the one that did well on sst2 with this model; neither it
nor the epochs were tuned here. The second compares the seconds of scoring all labels by questions with those of scoring
the same labels for the same rows as one of 28, in turns. Either adds to `benchmarks/results/multilabel.json` and writes
the table beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import commit

import sft
from sft.config.load import config_from_value
from sft.data.example import LabelSet
from sft.environment import environment
from sft.inference.label_end import scored_end
from sft.inference.label_questions import score_questions
from sft.inference.label_tree import label_tree
from sft.models.source import find_model
from sft.pipeline.answer import Answerer
from sft.pipeline.model import load
from sft.pipeline.prepare import prepare
from sft.pipeline.question_scoring import questions_of
from sft.progress import hush_libraries

METRICS = ("micro_f1", "macro_f1", "subset_accuracy", "jaccard", "lrap")
TEMPLATE = "Text: {text}\nEmotion: {label}?"
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
TRAINER = {"num_train_epochs": 3, "learning_rate": 1e-3, "per_device_train_batch_size": 16}
SHOTS, COST_ROWS, TURNS = 32, 100, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--model", default="base-31m")
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--rows", type=int, default=500, help="test rows")
    parser.add_argument("--cost", action="store_true", help="measure the cost of scoring only")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    hush_libraries()
    if arguments.cost:
        add(arguments.out, {"cost": [cost(arguments), cost(arguments, chat=True)]})
        return
    for seed in map(int, arguments.seeds.split(",")):
        with tempfile.TemporaryDirectory() as results:
            add(arguments.out, {"runs": runs_of(arguments, seed, Path(results))})


def runs_of(arguments: argparse.Namespace, seed: int, results: Path) -> list[dict[str, Any]]:
    zero = sft.run_experiment(config(arguments, shots=0, seed=seed), results).record
    chosen = sft.evaluate(config(arguments, shots=SHOTS, seed=seed), results).record
    trained = sft.run_experiment(config(arguments, shots=SHOTS, seed=seed), results).record
    found = [
        ("zero-shot, thresholds 0.5", zero.results, zero.timings),
        ("zero-shot, thresholds from the shots", chosen.results, chosen.timings),
        ("LoRA", trained.results, trained.timings),
        *((name, values, {}) for name, values in trained.baselines.items()),
    ]
    pool = {"pool_rows": trained.counts["pool_rows"], "label_budget": trained.counts["label_budget"]}
    return [
        {
            "method": method,
            "seed": seed,
            "model": arguments.model,
            "test_rows": arguments.rows,
            **{name: values[name] for name in METRICS if name in values},
            "seconds": dict(seconds),
            **(pool if method == "LoRA" else {}),
        }
        for method, values, seconds in found
    ]


def config(arguments: argparse.Namespace, *, shots: int, seed: int, **changes: Any) -> sft.ExperimentConfig:
    value = {
        "dataset": {
            "path": str(arguments.assets / "data/go_emotions"),
            "task_type": "multilabel",
            "shots": shots,
            "max_n_test": arguments.rows,
        },
        "model": {"name": str(arguments.assets / "models" / arguments.model)},
        "prompting": {"input_columns": ["text"], "output_column": "labels", "format": "plain", "template": TEMPLATE},
        "lora": LORA,
        "training": {"trainer_args": TRAINER},
        "inference": {"folds": 2},
        "seed": seed,
    }
    value |= changes
    return config_from_value(value, "benchmark", endpoint="run-experiment")


def cost(arguments: argparse.Namespace, *, chat: bool = False) -> dict[str, Any]:
    """Seconds of processor time per row, with the tokens that are read; prompts included. The default prompts."""
    if chat:
        arguments = argparse.Namespace(**{**vars(arguments), "model": "base-6m"})
    prompting = {"input_columns": ["text"], "output_column": "labels", "instruction": "Which emotions does it show?"}
    prepared = prepare(config(arguments, shots=0, seed=13, prompting=prompting))
    rows = prepared.test[:COST_ROWS]
    loaded = load(prepared.config, find_model(prepared.config.model))
    asking, questions = Answerer(prepared, loaded), questions_of(prepared)
    names = questions.labels.names
    dataset = {
        **prepared.config.dataset.model_dump(),
        "task_type": "classification",
        "labels": {n: f" {n}" for n in names},
    }
    one_label = dataclasses.replace(
        prepared,
        config=config(arguments, shots=0, seed=13, prompting=prompting, dataset=dataset, inference={}),
        data=dataclasses.replace(prepared.data, labels=LabelSet(names, tuple(f" {name}" for name in names))),
    )
    choosing = Answerer(one_label, loaded)
    end = scored_end("auto", asking.format, asking.builder(None).bare_labels())
    end_of_label = scored_end("auto", choosing.format, choosing.builder(None).bare_labels())
    scorers = asking.scorer(), choosing.scorer()

    def ask() -> int:
        builder = asking.builder(None)
        prompts = [builder.questions(questions.of(row), []) for row in rows]
        score_questions(scorers[0], prompts, end, len(questions.answers))
        return sum(len(label_tree(prompt.labels, end, prompt.given)) + len(prompt.prompt) for prompt in prompts)

    def choose() -> int:
        builder = choosing.builder(None)
        prompts = [builder.label_prompt(row, []) for row in rows]
        scorers[1].score(prompts, end_of_label)
        return sum(len(label_tree(prompt.labels, end_of_label)) + len(prompt.prompt) for prompt in prompts)

    tokens = ask() / len(rows), choose() / len(rows)
    turns = [(seconds(ask), seconds(choose)) for _ in range(TURNS)]
    ratios = [one / other for one, other in turns]
    return {
        "model": arguments.model,
        "format": asking.format.name,
        "rows": len(rows),
        "labels": len(names),
        "milliseconds_per_row": statistics.median(one for one, _ in turns) / len(rows) * 1e3,
        "milliseconds_per_row_single_label": statistics.median(other for _, other in turns) / len(rows) * 1e3,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "tokens_per_row": tokens[0],
        "tokens_per_row_single_label": tokens[1],
        "threads": torch.get_num_threads(),
        "environment": environment(),
        "commit": commit(),
    }


def seconds(work: Callable[[], object]) -> float:
    """Of processor time, which other processes take nothing away from."""
    started = time.process_time()
    work()
    return time.process_time() - started


def add(out: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    """What is measured anew replaces what was."""
    out.mkdir(exist_ok=True)
    path = out / "multilabel.json"
    report = json.loads(path.read_text()) if path.exists() else {"runs": [], "cost": []}
    new = {(run["model"], run["seed"]) for run in found.get("runs", [])}
    kept = [run for run in report["runs"] if (run["model"], run["seed"]) not in new]
    report["runs"] = kept + found.get("runs", [])
    report["cost"] = found.get("cost", report["cost"])
    report |= {"lora": LORA, "trainer_args": TRAINER, "template": TEMPLATE, "shots": SHOTS}
    if "runs" in found:
        report |= {"environment": environment(), "commit": commit()}
    path.write_text(json.dumps(report, indent=2) + "\n")
    (out / "multilabel.md").write_text(table(report))


def table(report: dict[str, Any]) -> str:
    lines = [
        f"go_emotions, {report['shots']} shots per label (rarer labels: all they have); mean, and standard deviation "
        "over seeds where there are several.",
        "",
        f"| model | test rows | method | seeds | {' | '.join(METRICS)} |",
        f"|---|---|---|---|{'---|' * len(METRICS)}",
    ]
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for run in report["runs"]:
        groups.setdefault((run["model"], run["test_rows"], run["method"]), []).append(run)
    for (model, rows, method), runs in groups.items():
        seeds = ", ".join(str(run["seed"]) for run in runs)
        cells = [shown([run[name] for run in runs if name in run]) for name in METRICS]
        lines.append(f"| {model} | {rows} | {method} | {seeds} | {' | '.join(cells)} |")
    lines += [
        "",
        "| format | ms per row | as one of the labels | ratio | tokens per row | as one of the labels |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['format']} ({one['model']}) | {one['milliseconds_per_row']:.1f} | "
        f"{one['milliseconds_per_row_single_label']:.1f} | {one['ratio']:.2f} | {one['tokens_per_row']:.0f} | "
        f"{one['tokens_per_row_single_label']:.0f} |"
        for one in report["cost"]
    ]
    return "\n".join(lines) + "\n"


def shown(values: list[float]) -> str:
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


if __name__ == "__main__":
    main()
