"""`python -m docs.tools.benchmarks` prints docs/benchmarks.md from what is stored in benchmarks/results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks/results"


@dataclass(frozen=True)
class Benchmark:
    """title: a heading. script: in benchmarks/. files: stems of results, one a machine. about: what it tells."""

    title: str
    script: str
    files: tuple[str, ...]
    about: str


BENCHMARKS = (
    Benchmark(
        "Scoring labels",
        "label_scoring.py",
        ("label_scoring_gpu", "label_scoring_cpu"),
        "Rows a second with all labels scored, beside lm-eval on the same prompts. *Floor*: the time of the matrix "
        "products alone. 7b and 0.5b are shapes of Qwen2.5 with random weights.",
    ),
    Benchmark(
        "Generating",
        "generation.py",
        ("generation_gpu", "generation_cpu"),
        "The same prompts and lengths of answers, in slots that are filled again, and in three other ways.",
    ),
    Benchmark(
        "Training steps",
        "training.py",
        ("training_gpu", "training_h200", "training_cpu"),
        "LoRA on all linear layers, beside TRL. Data tokens don't count padding.",
    ),
    Benchmark("Sweeps", "sweep.py", ("sweep_gpu", "sweep_cpu"), "24 configs of SST-2, of which 19 are different runs."),
    Benchmark(
        "A 70B shape in 4 bits on one GPU",
        "quantised_70b.py",
        ("quantised_70b",),
        "Random weights, nf4, 80 layers, LoRA.",
    ),
    Benchmark(
        "What initialisations cost",
        "initialisation.py",
        ("initialisation_gpu", "initialisation_cpu"),
        "Seconds for one layer, rank 16.",
    ),
    Benchmark(
        "Few shots on SST-2",
        "sst2_lora.py",
        ("sst2_lora",),
        "LoRA by number of labels, and a plain TRL script with 64 per label.",
    ),
    Benchmark(
        "Calibrations",
        "calibration.py",
        ("calibration",),
        "Zero-shot, one model, one prompt a task ([what it shows](decisions/0006-calibration-from-stored-scores.md)).",
    ),
    Benchmark(
        "Initialisations of LoRA",
        "initialisation_sweep.py",
        ("initialisation_sweep",),
        "None differs from PEFT's default beyond the noise ([more](initialisations.md#what-it-gave-here)).",
    ),
    Benchmark(
        "Initialisations on 4-bit weights",
        "quantised_initialisation.py",
        ("quantised_initialisation",),
        "One rate for all.",
    ),
    Benchmark(
        "Training objectives",
        "objectives.py",
        ("objectives",),
        "**Not complete**: [what it shows so far](objectives.md#which-one).",
    ),
    Benchmark(
        "Several labels per row", "multilabel.py", ("multilabel",), "A very small model doesn't learn go_emotions."
    ),
    Benchmark("Multiple choice", "multiple_choice.py", ("multiple_choice",), "SciQ with and without its support."),
    Benchmark(
        "JSON answers", "structured.py", ("structured",), "Slots of restaurant bookings, with and without a grammar."
    ),
)


def page() -> str:
    parts = [
        "# Benchmarks",
        "Written from the files in `benchmarks/results` by `make docs`; a test compares. Each table says on which "
        "machine and at which commit it was measured. A figure is of that machine: compare within a table. Negative "
        "results are here too. Models named base-… were pretrained for this project and are very small; their "
        "accuracies show that things work, not which method is best.",
    ]
    for benchmark in BENCHMARKS:
        parts += [
            f"## {benchmark.title}",
            f"{benchmark.about} Script: [{benchmark.script}](../benchmarks/{benchmark.script}).",
        ]
        for stem in benchmark.files:
            parts += _of_file(stem)
    return "\n\n".join(parts) + "\n"


def _of_file(stem: str) -> Iterator[str]:
    value = json.loads((RESULTS / f"{stem}.json").read_text(encoding="utf-8"))
    data = f"[data](../benchmarks/results/{stem}.json)"
    yield f"**{_machine(value)}** {_versions(value)}; commit {_commit(value)} ({data})"
    if value.get("note"):
        yield f"Note: {value['note']}"
    if stem in _TABLES:
        yield _TABLES[stem](value)
        return
    yield from _tables_of(RESULTS / f"{stem}.md")


def _machine(value: dict[str, Any]) -> str:
    where = value["environment"]
    threads = f"{where['threads']} thread{'s' if where['threads'] > 1 else ''}"
    return " and ".join(where["gpus"]) or f"{where['cpu']}, {threads}"


def _versions(value: dict[str, Any]) -> str:
    versions = value["environment"]["versions"]
    return ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "trl") if name in versions)


def _commit(value: dict[str, Any]) -> str:
    """Of all parts of a result: they may have been measured one after another."""
    parts = [value, *value.get("runs", []), *value.get("cost", [])]
    return ", ".join(f"`{commit[:12]}`" for commit in sorted({part["commit"] for part in parts if "commit" in part}))


def _tables_of(path: Path) -> Iterator[str]:
    """The tables of a Markdown file, each after its heading; tables of single runs are left to the file."""
    heading = ""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        if block.startswith("#"):
            heading = block.splitlines()[0].lstrip("# ")
        elif block.startswith("|") and heading not in ("Runs", "Tests"):
            if heading and heading not in ("Results", "Configurations", "Label scoring"):
                yield f"*{heading}*"
            yield block.strip()
    yield f"[All of it](../benchmarks/results/{path.name})"


def _sweep(value: dict[str, Any]) -> str:
    rows = {
        "the sweep, seconds": value["wall_seconds"],
        "its training and scoring, seconds": value["compute_seconds"],
        "ratio": value["wall_per_compute"],
        "starting the worker, seconds": value["start_seconds"],
        "between two runs, seconds": value["seconds_between_runs"],
        "times faster than a process for each run": value["times_faster_than_process_per_run"],
        "the command again, seconds": value["second_invocation_seconds"],
    }
    return _table(("", "measured"), [(name, f"{number:.3g}") for name, number in rows.items()])


def _stages(value: dict[str, Any]) -> str:
    stages = [(name, f"{s['seconds']:.1f}", f"{s['peak_gb']:.1f}") for name, s in value["stages"].items()]
    return _table(("stage", "seconds", "peak memory, GB"), stages)


def _layers(value: dict[str, Any]) -> str:
    shapes = list(value["layers"])
    names = sorted({name for shape in shapes for name in value["layers"][shape]}, key=str.lower)
    rows = [(name, *(_seconds(value["layers"][shape].get(name)) for shape in shapes)) for name in names]
    return _table(("initialisation", *shapes), rows)


def _seconds(value: float | str | None) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:.3g}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "sweep_gpu": _sweep,
    "sweep_cpu": _sweep,
    "quantised_70b": _stages,
    "initialisation_gpu": _layers,
    "initialisation_cpu": _layers,
}

if __name__ == "__main__":
    print(page(), end="")
