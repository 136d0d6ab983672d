"""Few-shot LoRA training: tokens per second and memory, beside TRL's SFTTrainer in the same run.

    python benchmarks/training.py --assets ../shared        # CPU: base-31m, and a small model with 152 k tokens
    python benchmarks/training.py --shapes 0.5b 1.5b 7b     # one GPU, random weights of Qwen2.5's shapes

The job: prompts of 549 tokens in the mean (302 to 796, drawn once) with answers of three tokens, LoRA of rank 16 on all
linear layers. Ours goes through `train_adapter`, TRL's through `SFTTrainer`, in bfloat16 on a GPU (autocast, as
it comes) and in float32 on a CPU, each with several micro-batches, gradient checkpointing and not. Steps are timed
from their beginning to the device's end; the median leaves out the first ones. Tokens are those of the data: padding
counts for nothing. MFU counts four operations per weight of the layers and token of the data, against a large
matrix product measured on the same machine. Every measurement is written at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import torch
from machine import commit
from scoring_jobs import SHAPES, VOCABULARY, pretrained_model, random_model
from timing import device, free_memory, matmul_rate

from sft.config.load import config_from_value
from sft.config.schema import ExperimentConfig, MethodConfig
from sft.environment import environment
from sft.models.load import LoadedModel
from sft.progress import hush_libraries
from sft.prompting.build import TrainingSequence
from sft.training.arguments import trainer_config
from sft.training.fast.duration import micro_batch_time, step_time
from sft.training.fast.gpus import gpu_registry
from sft.training.fast.memory import activation_size, step_memory
from sft.training.train import train_adapter

SHAPES["1.5b"] = {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
                  "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
SHAPES["3b"] = {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
                "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
SHAPES["tiny"] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
MEAN, ANSWER, WARMING = 549, 3, 3


@dataclasses.dataclass(frozen=True)
class Case:
    """rows: of a micro-batch. ours: "compiled", "eager", or None for TRL's."""

    rows: int
    checkpointing: bool = False
    ours: str | None = None
    more: tuple[tuple[str, Any], ...] = ()


CASES = {
    "0.5b": [Case(16), Case(32), Case(64), Case(32, True), Case(32, False, "eager"), Case(8, False, "compiled"),
             Case(16, False, "compiled"), Case(32, False, "compiled"), Case(64, False, "compiled"),
             Case(32, True, "compiled")],
    "1.5b": [Case(8), Case(16), Case(32), Case(32, True), Case(8, False, "compiled"), Case(16, False, "eager"),
             Case(16, False, "compiled"), Case(32, False, "compiled"), Case(32, True, "compiled")],
    # For estimates of time, which were not fitted to these.
    "3b": [Case(4, False, "compiled"), Case(8, False, "eager"), Case(8, False, "compiled"),
           Case(24, False, "compiled"), Case(24, True, "compiled")],
    "7b": [Case(4), Case(8), Case(16), Case(16, True), Case(32, True), Case(8, False, "eager"),
           Case(8, False, "compiled"), Case(16, False, "compiled"), Case(16, True, "compiled")],
    "base-31m": [Case(8), Case(16), Case(8, ours="eager"), Case(16, ours="eager")],
    "tiny": [Case(8), Case(8, ours="eager")],
}  # fmt: skip


# Its kernels replace those of transformers for the rest of a process, so these are measured by themselves (`--liger`).
LIGER = (("use_liger_kernel", True),)
LIGER_CASES = {
    "0.5b": [Case(rows, more=LIGER) for rows in (32, 64, 128)],
    "1.5b": [Case(rows, more=LIGER) for rows in (16, 32)],
    "7b": [Case(8, more=LIGER), Case(16, more=LIGER), Case(32, True, more=LIGER)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"))
    parser.add_argument("--shapes", nargs="+", choices=sorted(CASES))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--liger", action="store_true", help="TRL with Liger's kernels (liger-kernel), instead")
    parser.add_argument("--append", action="store_true", help="keep what the file of results holds of other models")
    parser.add_argument("--commit", help="what to sign with where there is no git")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    hush_libraries()
    warnings.simplefilter("ignore")
    rate = matmul_rate()
    file = arguments.out / f"training_{'gpu' if torch.cuda.is_available() else 'cpu'}.json"
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = json.loads(file.read_text())["results"] if arguments.append and file.exists() else []
    for name in arguments.shapes or ["base-31m", "tiny"]:
        for case in (LIGER_CASES if arguments.liger else CASES)[name]:
            result = {"model": name, **dataclasses.asdict(case), **measured(name, case, arguments)}
            if case.ours and name not in ("base-31m", "tiny"):
                result |= estimated(name, case, arguments.steps)
            if "seconds_per_step" in result:
                result["mfu"] = result["operations_per_token"] * result["tokens_per_second"] / rate
            results.append(result)
            print(json.dumps(result), flush=True)
            report = {
                "results": results,
                "matmul_operations_per_second": rate,
                "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
                "threads": torch.get_num_threads(),
                "environment": environment(),
                "commit": arguments.commit or commit(),
            }
            file.write_text(json.dumps(report, indent=2) + "\n")
            file.with_suffix(".md").write_text(table(report))
    print(file.with_suffix(".md").read_text())


def measured(name: str, case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    loaded = pretrained_model(arguments.assets / "models" / name) if name == "base-31m" else random_model(SHAPES[name])
    if device() == "cpu":
        loaded.model.float()
    sequences = job(case.rows * arguments.steps)
    clock = Clock()
    free_memory()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        with tempfile.TemporaryDirectory() as folder:
            losses, more = (ours if case.ours else trl)(loaded, case, sequences, clock, Path(folder), arguments.steps)
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}
    finally:
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
        layers = backbone_weights(loaded)
        loaded.model = None
        free_memory()
    seconds = statistics.median(clock.steps[WARMING:])
    tokens = sum(len(s.ids) for s in sequences) / arguments.steps
    return {
        "seconds_per_step": seconds,
        "tokens_per_second": tokens / seconds,
        "answer_tokens_per_second": case.rows * ANSWER / seconds,
        "operations_per_token": 4 * layers,
        "first_steps": clock.steps[:WARMING],
        "seconds_to_first_step": clock.ends[0] - began,
        "seconds_to_trained": time.perf_counter() - began,
        "peak_bytes": peak,
        "losses": losses,
        **more,
    }


def job(rows: int) -> list[TrainingSequence]:
    generator = random.Random(0)
    lengths = [generator.randint(int(0.55 * MEAN), int(1.45 * MEAN)) for _ in range(rows)]
    return [TrainingSequence([generator.randint(5, 900) for _ in range(n)], n - ANSWER) for n in lengths]


class Clock:
    """Seconds of every step."""

    def __init__(self) -> None:
        from transformers import TrainerCallback

        self.steps: list[float] = []
        self.ends: list[float] = []
        outer = self

        class Callback(TrainerCallback):  # type: ignore[misc]
            def on_step_begin(self, *_: Any, **__: Any) -> None:
                outer._started = _now()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                outer.ends.append(_now())
                outer.steps.append(outer.ends[-1] - outer._started)

        self.callback = Callback()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def common_arguments(case: Case, folder: Path, steps: int) -> dict[str, Any]:
    return {
        "max_steps": steps,
        "per_device_train_batch_size": case.rows,
        "gradient_checkpointing": case.checkpointing,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        **dict(case.more),
    }


def trl(
    loaded: LoadedModel, case: Case, sequences: list[TrainingSequence], clock: Clock, folder: Path, steps: int
) -> tuple[list[float], dict[str, Any]]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    labels = [[-100] * s.n_prompt + s.ids[s.n_prompt :] for s in sequences]
    data = Dataset.from_dict({"input_ids": [s.ids for s in sequences], "labels": labels})
    on_cpu = {} if torch.cuda.is_available() else {"use_cpu": True, "bf16": False}
    seed = config_of(case, folder, steps).seed_for("train")
    args = SFTConfig(
        output_dir=str(folder),
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        data_seed=seed,
        **common_arguments(case, folder, steps),
        **on_cpu,
    )
    trainer = SFTTrainer(
        model=loaded.model,
        args=args,
        train_dataset=data,
        processing_class=loaded.tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
        callbacks=[clock.callback],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], {}


def ours(
    loaded: LoadedModel, case: Case, sequences: list[TrainingSequence], clock: Clock, folder: Path, steps: int
) -> tuple[list[float], dict[str, Any]]:
    import sft.training.train as module

    config = config_of(case, folder, steps)
    args = trainer_config(config, folder, keep_checkpoints=False)
    make = module.trainer_class

    def watched(*given: Any, **named: Any) -> Any:
        def trainer(**kwargs: Any) -> Any:
            return make(*given, **named)(callbacks=[clock.callback], **kwargs)

        return trainer

    module.trainer_class = watched
    try:
        summary = train_adapter(loaded, MethodConfig(method="lora", args=LORA), args, sequences, config=config.training)
    finally:
        module.trainer_class = make
    return [entry["loss"] for entry in summary.log if "loss" in entry], {"computation": summary.computation}


def config_of(case: Case, folder: Path, steps: int) -> ExperimentConfig:
    value = {
        "dataset": {"path": "unused.jsonl", "shots": 1, "task_type": "classification"},
        "model": {"name": "unused"},
        "prompting": {"input_columns": ["text"], "output_column": "label"},
        "lora": LORA,
        "training": {"trainer_args": common_arguments(case, folder, steps), "compile": case.ours == "compiled"},
    }
    return config_from_value(value, "benchmark", endpoint="train")


def backbone_weights(loaded: LoadedModel) -> int:
    """Of the layers, without embeddings, head and adapter."""
    return sum(
        p.numel()
        for name, p in loaded.base_model.named_parameters()
        if "lora_" not in name and "embed" not in name and "lm_head" not in name and p.dim() > 1
    )


def estimated(name: str, case: Case, steps: int) -> dict[str, float]:
    """Before there are weights; seconds as of an H100."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(vocab_size=VOCABULARY, max_position_embeddings=32_768, **SHAPES[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **LORA))
    compiled, answers = case.ours == "compiled", ANSWER * case.rows
    size = activation_size(model, compiled=compiled)
    lengths = [len(s.ids) for s in job(case.rows * steps)]
    longest = max(sum(lengths[i : i + case.rows]) for i in range(0, len(lengths), case.rows))
    memory = step_memory(model, size, tokens=longest, answers=answers, checkpointing=case.checkpointing)
    usual = sorted(lengths)[steps // 2 :: steps]
    time = micro_batch_time(
        model,
        usual,
        answers=answers,
        checkpointing=case.checkpointing,
        compiled=compiled,
        gpu=gpu_registry["h100"],
    )
    return {"estimated_peak_bytes": memory.total, "estimated_seconds_per_step": step_time(time, 1)}


def table(report: dict[str, Any]) -> str:
    heads = [
        "model",
        "way",
        "rows",
        "checkpointing",
        "ms/step",
        "data tokens/s",
        "MFU",
        "peak GiB",
        "estimated ms/step",
        "estimated GiB",
        "first step after s",
    ]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for result in report["results"]:
        way = f"sft, {result['ours']}" if result["ours"] else "TRL, Liger" if result["more"] else "TRL"
        cells = [result["model"], way, str(result["rows"]), "yes" if result["checkpointing"] else "no"]
        if "error" in result:
            cells += [result["error"], *[""] * 6]
        else:
            cells += [f"{1000 * result['seconds_per_step']:.0f}", f"{result['tokens_per_second']:.0f}"]
            cells += [f"{result['mfu']:.3f}", f"{result['peak_bytes'] / 2**30:.1f}"]
            seconds, peak = (result.get(f"estimated_{of}") for of in ("seconds_per_step", "peak_bytes"))
            cells += [f"{1000 * seconds:.0f}", f"{peak / 2**30:.1f}"] if seconds else ["", ""]
            cells += [f"{result['seconds_to_first_step']:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
