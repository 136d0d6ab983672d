"""Accuracy on SST-2 over shots, and the same training by a plain TRL + PEFT script on the same rows and prompts.

    python benchmarks/sst2_lora.py --assets ../shared

Runs a sweep of `sft` (shots 0, 4, 16, 64 per label × 3 seeds, LoRA r=16 on all linear layers, learning rate 1e-3, 8
epochs, 600 test rows, the pretrained 31 M parameter model of the assets), then, for 64 shots, a script that knows
nothing of `sft`: it takes the row numbers from the records, builds strings, and uses `SFTTrainer` and a scoring loop as
TRL's examples do. Writes `benchmarks/results/sst2_lora.json` and the sweep's table beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from machine import commit
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import SFTConfig, SFTTrainer

import sft
from sft.config.load import NamedConfig, config_from_value
from sft.environment import environment

SHOTS, SEEDS = (0, 4, 16, 64), (13, 14, 15)
VERBALISATIONS = {"negative": " terrible", "positive": " great"}
TEMPLATE = "Review: {text}\nIt was"
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
TRAINER = {"num_train_epochs": 8, "learning_rate": 1e-3, "per_device_train_batch_size": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    model, data = arguments.assets / "models/base-31m", arguments.assets / "data/sst2"
    configs = [
        NamedConfig(f"shots={shots} seed={seed}", config(model, data, shots, seed)) for shots in SHOTS for seed in SEEDS
    ]
    with tempfile.TemporaryDirectory() as results:
        sweep = sft.run_experiments(configs, Path(results), on_outcome=lambda o, n, t: print(n, t, o.name, flush=True))
        records = [outcome.record for outcome in sweep.outcomes]
        table = (Path(results) / "aggregated_results.md").read_text()
    peer = [plain_script(record, model, data) for record in records if record.config["dataset"]["shots"] == max(SHOTS)]
    ours = [run_summary(record) for record in records]
    best = [run["accuracy"] for run in ours if run["shots"] == max(SHOTS)]
    report = {
        "ours": ours,
        "plain_trl": peer,
        "mean_accuracy_64_shots": statistics.fmean(best),
        "mean_accuracy_64_shots_plain_trl": statistics.fmean(run["accuracy"] for run in peer),
        "environment": environment(),
        "commit": commit(),
    }
    arguments.out.mkdir(exist_ok=True)
    (arguments.out / "sst2_lora.json").write_text(json.dumps(report, indent=2) + "\n")
    (arguments.out / "sst2_lora.md").write_text(table)
    print(json.dumps({key: value for key, value in report.items() if key.startswith("mean")}, indent=2))


def config(model: Path, data: Path, shots: int, seed: int) -> sft.ExperimentConfig:
    value = {
        "dataset": {
            "path": str(data),
            "task_type": "classification",
            "shots": shots,
            "max_n_test": 600,
            "labels": VERBALISATIONS,
        },
        "model": {"name": str(model)},
        "prompting": {"input_columns": ["text"], "output_column": "label", "format": "plain", "template": TEMPLATE},
        "lora": LORA,
        "training": {"trainer_args": TRAINER},
        "inference": {},
        "seed": seed,
    }
    return config_from_value(value, "benchmark", endpoint="run-experiment")


def run_summary(record: sft.RunRecord) -> dict[str, Any]:
    return {
        "shots": record.config["dataset"]["shots"],
        "seed": record.seed,
        "accuracy": record.results["accuracy"],
        "seconds": record.timings,
    }


def plain_script(record: sft.RunRecord, model_path: Path, data: Path) -> dict[str, Any]:
    """TRL's own way: prompt/completion strings, `SFTTrainer` with a `LoraConfig`, one forward per candidate."""
    train_rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    test_rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    pool = [train_rows[i] for i in record.data["pool_row_numbers"]]
    test = [test_rows[i] for i in record.data["test_row_numbers"]]
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    set_seed(record.seed)
    dataset = Dataset.from_list(
        [{"prompt": TEMPLATE.format(text=r["text"]), "completion": VERBALISATIONS[r["label"]]} for r in pool]
    )
    on_gpu = torch.cuda.is_available()
    device_args = {} if on_gpu else {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32),
            args=SFTConfig(
                output_dir=folder, save_strategy="no", report_to="none", seed=record.seed, **TRAINER, **device_args
            ),
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
        )
        trainer.train()
    trained = time.perf_counter()
    model = trainer.model.eval()
    correct = 0
    for row in test:
        prompt = TEMPLATE.format(text=row["text"])
        scores = {label: candidate_score(model, tokenizer, prompt, text) for label, text in VERBALISATIONS.items()}
        correct += max(scores, key=lambda label: scores[label]) == row["label"]
    return {
        "shots": record.config["dataset"]["shots"],
        "seed": record.seed,
        "accuracy": correct / len(test),
        "training_seconds": trained - started,
        "scoring_seconds": time.perf_counter() - trained,
    }


@torch.inference_mode()
def candidate_score(model: Any, tokenizer: Any, prompt: str, candidate: str) -> float:
    n_prompt = len(tokenizer(prompt)["input_ids"])
    ids = torch.tensor([tokenizer(prompt + candidate)["input_ids"]], device=model.device)
    log_probs = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
    return log_probs[n_prompt - 1 :].gather(1, ids[0, n_prompt:, None]).sum().item()


if __name__ == "__main__":
    main()
