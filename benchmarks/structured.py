"""Slots of restaurant bookings as JSON (RESTAURANTS-8K): constrained against unconstrained, with one adapter.

    python benchmarks/structured.py --assets ../shared

Trains a LoRA on 256 rows, and answers the same 500 test rows with it twice, once under the schema and once freely: in
static batches of 64, greedily, so that both do the same but for the masks. Both are given the same limits of new
tokens: one that holds every reference, and a tight one. Writes `benchmarks/results/structured.{json,md}`. Seconds are
CPU seconds of the process, because other processes may share the cores; those of the masks are measured apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import transformers
from machine import commit

import sft
from sft.config.load import config_from_value
from sft.environment import environment
from sft.inference.constrained.processor import ConstraintProcessor
from sft.records import read_items

FIELDS = ["first_name", "last_name", "date", "time", "people"]
TRAINER = {"num_train_epochs": 6, "learning_rate": 2e-3, "per_device_train_batch_size": 16}
TIGHT = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--adapter", type=Path, help="a folder that `train` wrote with these settings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    masking = _timed_masks()
    with tempfile.TemporaryDirectory() as scratch:
        adapter = arguments.adapter or Path(scratch) / "adapter"
        if arguments.adapter is None:
            sft.train(config(arguments.assets, output_dir=adapter))
        # What is imported and compiled once per process counts for neither.
        sft.evaluate(config(arguments.assets, rows=20), scratch, checkpoint=str(adapter))
        runs = []
        for limit in (None, TIGHT):
            for constrained in (True, False):
                masking.clear()
                asked = config(arguments.assets, constrained=constrained, max_new_tokens=limit)
                began = time.process_time()
                run = sft.evaluate(asked, scratch, checkpoint=str(adapter))
                runs.append(summary(run.record, run.folder, time.process_time() - began, sum(masking)))
                print(json.dumps(runs[-1]), flush=True)
    report = {"runs": runs, "trainer_args": TRAINER, "environment": environment(), "commit": commit()}
    arguments.out.mkdir(exist_ok=True)
    (arguments.out / "structured.json").write_text(json.dumps(report, indent=2) + "\n")
    (arguments.out / "structured.md").write_text(table(runs))


def config(
    assets: Path,
    *,
    constrained: bool = True,
    max_new_tokens: int | None = None,
    output_dir: Path | None = None,
    rows: int = 500,
) -> sft.ExperimentConfig:
    written = {} if output_dir is None else {"output_dir": str(output_dir)}
    value = {
        "dataset": {
            "path": str(assets / "data/restaurant8k"),
            "task_type": "structured",
            "shots": 256,
            "max_n_test": rows,
        },
        "model": {"name": str(assets / "models/base-31m"), "model_args": {"dtype": "float32"}},
        "prompting": {
            "input_columns": ["context", "text"],
            "output_column": "json",
            "output_schema": FIELDS,
            "format": "plain",
            "template": "Asked for: {context}\nUser: {text}\nJSON: ",
        },
        "lora": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "training": {"trainer_args": {**TRAINER, **written}},
        "inference": {
            "constrained": constrained,
            "decoder": "static",
            "batch_size": 64,
            "generation_args": {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens},
        },
    }
    return config_from_value(value, "benchmark", endpoint="evaluate")


def summary(record: sft.RunRecord, folder: Path, cpu_seconds: float, mask_seconds: float) -> dict[str, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(record.config["model"]["name"])
    texts = [item["prediction"] for item in read_items(folder)]
    tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in texts)
    return {
        "constrained": record.inference["constrained"],
        "max_new_tokens": record.inference["max_new_tokens"],
        "rows": len(texts),
        "marked": record.inference["problems"],
        "results": {name: value for name, value in record.results.items() if isinstance(value, float)},
        "per_field": record.results["per_field"],
        "tokens": tokens,
        "cpu_seconds": cpu_seconds,
        "cpu_seconds_of_masks": mask_seconds,
        "milliseconds_of_masks_per_token": 1000 * mask_seconds / tokens,
        "milliseconds_per_token": 1000 * cpu_seconds / tokens,
    }


def _timed_masks() -> list[float]:
    """CPU seconds of every call of the processor from now on."""
    seconds: list[float] = []
    plain = ConstraintProcessor.__call__

    def timed(self: ConstraintProcessor, input_ids: Any, scores: Any) -> Any:
        began = time.process_time()
        changed = plain(self, input_ids, scores)
        seconds.append(time.process_time() - began)
        return changed

    ConstraintProcessor.__call__ = timed  # type: ignore[method-assign]
    return seconds


def table(runs: list[dict[str, Any]]) -> str:
    columns = ("valid_json", "schema_valid", "exact_match", "field_precision", "field_recall", "field_f1")
    heads = ["decoding", "new tokens", *columns, "marked", "ms per token", "of it masks"]
    lines = [
        "# restaurant8k, base-31m, LoRA on 256 rows, 500 test rows, one seed",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + " --- |" * len(heads),
    ]
    for run in runs:
        cells = [
            "constrained" if run["constrained"] else "unconstrained",
            f"≤ {run['max_new_tokens']}",
            *(f"{run['results'][name]:.3f}" for name in columns),
            str(run["marked"]),
            f"{run['milliseconds_per_token']:.1f}",
            f"{run['milliseconds_of_masks_per_token']:.2f}" if run["constrained"] else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    note = "CPU milliseconds of the process, data and model included, over the tokens of the answers and their ends."
    return "\n".join([*lines, "", note, ""])


if __name__ == "__main__":
    main()
