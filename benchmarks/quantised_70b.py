"""A Llama of 70 billion random 4-bit weights on one GPU: loaded, trained, scored and asked by `sft`.

    python benchmarks/quantised_70b.py --tokenizer FOLDER --scratch FOLDER --out FILE.json

Writes a checkpoint of that shape (40 GB; less with `--layers`), then takes it through the project's own code: load,
LoRA training with gradient checkpointing, label scoring by the tree engine, greedy generation. For each stage seconds
and the peak memory (of the GPU, else resident) go into the JSON file, which is written anew after each stage. `--tiny`
tries all of it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import commit
from random_nf4 import write_checkpoint
from timing import peak_bytes
from transformers import LlamaConfig

from sft.config.load import config_from_value
from sft.config.schema import ExperimentConfig, MethodConfig
from sft.environment import environment
from sft.inference.generation.generator import Generator
from sft.inference.label_scorer import LabelScorer
from sft.models.load import LoadedModel, load_model
from sft.models.source import ModelSource
from sft.models.tokenizer import load_tokenizer
from sft.progress import hush_libraries
from sft.prompting.build import LabelPrompt, TrainingSequence
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.training.arguments import trainer_config
from sft.training.train import train_adapter

SHAPE = {"hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_key_value_heads": 8}
TINY = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2}
VOCABULARY = 128_256
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
# A common word, two tokens, three tokens that begin alike.
LABELS = [[400], [401, 402], [403, 404, 405], [403, 404, 406]]


def main() -> None:
    arguments = parse()
    folder = arguments.scratch / "checkpoint"
    report = Report(arguments)
    config = model_config(arguments)
    if not arguments.keep or not (folder / "config.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        size = report.stage("write", lambda: write_checkpoint(folder, config, arguments.tokenizer))
        report.add("write", gigabytes=round(size / 1e9, 2))
    try:
        measure(experiment(folder, arguments), arguments, report)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with a tokenizer; its texts don't matter")
    parser.add_argument("--scratch", type=Path, required=True, help="folder with room for the checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--layers", type=int, default=80)
    parser.add_argument("--tokens", type=int, default=512, help="length of training rows and of prompts")
    parser.add_argument("--batch", type=int, default=4, help="training rows a step")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=64, help="prompts whose labels are scored")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--tiny", action="store_true", help="layers of a hundred inputs")
    parser.add_argument("--commit", default=None, help="where the tree is no git checkout")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoint, and use one that is there")
    return parser.parse_args()


def model_config(arguments: argparse.Namespace) -> LlamaConfig:
    return LlamaConfig(
        **(TINY if arguments.tiny else SHAPE),
        num_hidden_layers=arguments.layers,
        vocab_size=VOCABULARY,
        max_position_embeddings=8192,
        rope_theta=500_000.0,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def experiment(folder: Path, arguments: argparse.Namespace) -> ExperimentConfig:
    trainer_args = {
        "max_steps": arguments.steps,
        "per_device_train_batch_size": arguments.batch,
        "gradient_checkpointing": True,
        "learning_rate": 1e-4,
        "logging_steps": 1,
    }
    value = {
        "dataset": {"path": "none", "task_type": "generation", "shots": arguments.batch * arguments.steps},
        "model": {"name": str(folder)},
        "prompting": {"input_columns": ["text"], "output_column": "answer", "format": "plain"},
        "training": {"trainer_args": trainer_args},
        "lora": LORA,
        "inference": {},
    }
    return config_from_value(value, "quantised_70b.py")


def measure(config: ExperimentConfig, arguments: argparse.Namespace, report: Report) -> None:
    hush_libraries()
    source = ModelSource(config.model.name, None)
    tokenizer = load_tokenizer(config.model, source)
    loaded: LoadedModel = report.stage("load", lambda: load_model(config.model, source, tokenizer))
    report.add("load", model={**loaded.describe(), "base": "random weights"})
    args = trainer_config(config, arguments.scratch / "out", keep_checkpoints=False)
    rows = random_ids(arguments.batch * arguments.steps, arguments)
    sequences = [TrainingSequence(ids, len(ids) - 8) for ids in rows]
    lora = MethodConfig(method="lora", args=LORA)
    summary = report.stage("train", lambda: train_adapter(loaded, lora, args, sequences))
    report.add(
        "train",
        seconds_in_the_trainer=round(summary.seconds, 2),
        tokens_per_second=round(summary.tokens / summary.seconds, 1),
        trainable_parameters=summary.trainable_parameters,
        losses=[round(entry["loss"], 4) for entry in summary.log if "loss" in entry],
    )
    prompts = [LabelPrompt(ids, LABELS) for ids in random_ids(arguments.rows, arguments)]
    scorer = LabelScorer(loaded, engine="tree")
    scores = report.stage("score", lambda: scorer.score(prompts, None)).log_probs
    report.add("score", engine=scorer.report(), rows=len(prompts), finite=bool((scores > -float("inf")).all()))
    prompt_format = choose_format(tokenizer, TextEncoder(tokenizer), config.prompting)
    generator = Generator(
        loaded, prompt_format, {}, max_new_tokens=arguments.new_tokens, ends_at_separator=False, batch_size="auto"
    )
    four = random_ids(4, arguments)
    answers = report.stage("generate", lambda: generator.generate(four, seed=0))
    report.add("generate", prompts=len(four), new_tokens=arguments.new_tokens, answers=[len(text) for text in answers])


def random_ids(rows: int, arguments: argparse.Namespace) -> list[list[int]]:
    """Tokens that every tokenizer has; the first half of each row is common to all, as instructions are."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(300, 5000, (rows, arguments.tokens), generator=generator)
    ids[:, : arguments.tokens // 2] = ids[0, : arguments.tokens // 2].clone()
    return ids.tolist()


class Report:
    """What is written: machine, commit, arguments, and per stage seconds and peak memory in GB."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._path: Path = arguments.out
        named = {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}
        for folder in ("tokenizer", "scratch", "out"):
            named[folder] = Path(named[folder]).name
        self._report: dict[str, Any] = {
            "commit": arguments.commit or commit(), "environment": environment(), "arguments": named, "stages": {},
        }  # fmt: skip

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        results: list[Any] = []
        started = time.perf_counter()
        peak = peak_bytes(lambda: results.append(work()))
        seconds = time.perf_counter() - started
        self.add(name, seconds=round(seconds, 2), peak_gb=round(peak.total / 1e9, 2))
        print(name, self._report["stages"][name], flush=True)
        return results[0]

    def add(self, stage: str, **values: Any) -> None:
        self._report["stages"].setdefault(stage, {}).update(values)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._report, indent=1, default=str) + "\n", encoding="utf-8")
        partial.replace(self._path)


if __name__ == "__main__":
    main()
