"""Label scoring: samples per second beside lm-eval, the plain path and the cache path, and how near it is to the floor.

    python benchmarks/label_scoring.py --assets ../shared                      # CPU, base-31m
    python benchmarks/label_scoring.py --assets ../shared --shapes 7b 0.5b     # one GPU, random weights

The floor is the time that the machine's own matrix product would take for what has to be computed once: every linear
layer over the unique tokens (the shared prefix once, each prompt's tail, the nodes of the label tree), attention scores
and values for the pairs that are seen, and the language-model head on the scored rows.

Jobs on a GPU use weights of Qwen2.5's shapes, drawn at random (speed doesn't depend on them), the 8 k-token tokenizer
of the quickstart, and a head of 152 064 tokens:

- `sentiment`: tweet_eval_sentiment, 3 labels as the data set names them (3 tokens each), 24 in-context examples
- `sentiment_one_token`: the same with verbalisations of one token, where lm-eval needs one sequence per prompt
- `intents`: banking77, 77 labels of several tokens, 77 in-context examples

Jobs on a CPU use base-31m: `intents` with as many in-context examples as fit 900 tokens, and `sentiment` zero-shot. All
end without an end-of-turn token, as lm-eval scores them. Every path sees the same prompts; slow ones see few of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval_peer import fastest
from machine import commit
from scoring_floor import floor
from scoring_jobs import CPU_JOBS, GPU_JOBS, SHAPES, Job, build_job, pretrained_model, random_model
from timing import free_memory, matmul_rate, peak_bytes, timed

from sft.environment import environment
from sft.inference.engines import tree as tree_engine
from sft.inference.label_scorer import EngineName, LabelScorer
from sft.inference.label_tree import label_tree
from sft.inference.packing import PackedBatch
from sft.inference.shared_prefixes import scoring_row
from sft.label_scores import LabelScores
from sft.models.load import LoadedModel

REPEATS = 3
COLUMNS = (
    "model", "job", "labels", "nodes", "shared tokens", "rows", "samples/s", "of the floor", "compiled: samples/s",
    "of the floor", "lm-eval samples/s", "faster by", "compiled: faster by", "memory / plain forward",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"), help="folder with data/ and models/")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, help="random weights instead of base-31m")
    parser.add_argument("--jobs", nargs="+", help="only these jobs")
    parser.add_argument("--rows", type=int, help="at most so many rows a job")
    parser.add_argument("--lm-eval-batch-sizes", nargs="+", type=int, default=[1, 4, 16, 64], help="the best counts")
    parser.add_argument("--skip-peers", action="store_true", help="only the engine itself")
    parser.add_argument("--profile", action="store_true", help="print where the engine's time goes on the GPU")
    parser.add_argument("--commit", help="what to sign with where there is no git")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    models: dict[str, Callable[[], LoadedModel]] = {
        name: lambda name=name: random_model(SHAPES[name]) for name in arguments.shapes or ()
    }
    models = models or {"base-31m": lambda: pretrained_model(arguments.assets / "models/base-31m")}
    jobs = GPU_JOBS if arguments.shapes else CPU_JOBS
    specs = [spec for spec in jobs if not arguments.jobs or spec.name in arguments.jobs]
    sizes = [] if arguments.skip_peers else arguments.lm_eval_batch_sizes
    results: list[dict[str, Any]] = []
    written = "no job has such a name"
    for model_name, make in models.items():
        loaded = make()
        for spec in specs:
            rows = min(spec.rows, arguments.rows or spec.rows)
            job = build_job(spec._replace(rows=rows), arguments.assets, loaded.tokenizer, chat=bool(arguments.shapes))
            say(f"{model_name}, {spec.name}: {len(job.prompts)} prompts built")
            results.append({"model": model_name, "job": spec.name, **measure(loaded, job, sizes)})
            written = write(results, arguments.out, arguments.commit or commit())
            if arguments.profile:
                profile(loaded, job)
        del loaded
        free_memory()
    print(written)


def write(results: Sequence[dict[str, Any]], out: Path, signed: str) -> str:
    """After every job, so that what is measured isn't lost. Returns the table."""
    versions = environment() | {"lm_eval": importlib.metadata.version("lm_eval")}
    report = {"results": list(results), "environment": versions, "commit": signed}
    out.mkdir(exist_ok=True)
    name = f"label_scoring_{'gpu' if torch.cuda.is_available() else 'cpu'}"
    (out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / f"{name}.md").write_text(table(report))
    return table(report)


def say(what: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {what}", flush=True)


def measure(loaded: LoadedModel, job: Job, lm_eval_batch_sizes: Sequence[int]) -> dict[str, Any]:
    rows = [scoring_row(np.array(p.prompt), label_tree(p.labels)) for p in job.prompts]
    scorer = LabelScorer(loaded)
    first = timed(lambda: scorer.score(job.prompts, None))
    prepared = LabelScorer(loaded, engine="tree")
    peak = matmul_rate()
    times = [timed(lambda: prepared.score(job.prompts, None)) for _ in range(REPEATS)]
    peak = max(peak, matmul_rate())
    work = floor(loaded, rows)
    seconds = statistics.median(times)
    n = len(rows)
    result: dict[str, Any] = {
        "rows": n,
        "labels": len(job.labels),
        "label_tokens": sorted(map(len, rows[0].tree.labels)),
        "tree_nodes": len(rows[0].tree),
        "shared_prefix_tokens": work.prefix,
        "prompt_tokens_mean": round(statistics.fmean(len(row.prompt) for row in rows), 1),
        "unique_tokens": work.tokens,
        "seconds": [round(value, 4) for value in times],
        "first_call_seconds_with_comparison": round(first, 3),
        "engine": scorer.report(),
        "samples_per_second": round(n / seconds, 2),
        "matmul_tflops": round(peak / 1e12, 3),
        "floor_seconds": round(work.flops / peak, 4),
        "of_floor": round(work.flops / peak / seconds, 3),
        "flops_share": {name: round(value / work.flops, 3) for name, value in work.parts.items()},
        "memory": memory(loaded, job),
    }
    say(f"{result['samples_per_second']} samples/s, {result['of_floor']} of the floor; memory {result['memory']}")
    if torch.cuda.is_available():
        result["compiled"] = measure_compiled(loaded, job, result["floor_seconds"])
        say(f"compiled layers: {result['compiled']}")
    if lm_eval_batch_sizes:
        result["peers"] = measure_peers(loaded, job, lm_eval_batch_sizes)
        for peer in result["peers"].values():
            peer["engine_is_faster_by"] = round(result["samples_per_second"] / peer["samples_per_second"], 1)
            if "compiled" in result:
                ratio = result["compiled"]["samples_per_second"] / peer["samples_per_second"]
                peer["compiled_engine_is_faster_by"] = round(ratio, 1)
    return result


def measure_compiled(loaded: LoadedModel, job: Job, floor_seconds: float) -> dict[str, Any]:
    """The same with compiled layers, as long scorings have them."""
    scorer = LabelScorer(loaded, engine="tree", compile=True)
    first = timed(lambda: scorer.score(job.prompts, None))
    times = [timed(lambda: scorer.score(job.prompts, None)) for _ in range(REPEATS)]
    seconds = statistics.median(times)
    return {
        "is_used": scorer.report()["compiled"],
        "first_call_seconds": round(first, 2),
        "seconds": [round(value, 4) for value in times],
        "samples_per_second": round(len(job.prompts) / seconds, 2),
        "of_floor": round(floor_seconds / seconds, 3),
    }


def measure_peers(loaded: LoadedModel, job: Job, lm_eval_batch_sizes: Sequence[int]) -> dict[str, Any]:
    n = job.spec.slow_rows
    few, texts = job.prompts[:n], job.texts[:n]
    ours = LabelScorer(loaded, engine="tree").score(few, None).log_probs
    found: dict[str, Any] = {}
    slow: tuple[EngineName, ...] = ("cache", "naive")
    for engine in slow:
        scorer = LabelScorer(loaded, engine=engine)
        if torch.cuda.is_available():
            scorer.score(few[:1], None)
        scores: list[LabelScores] = []
        seconds = timed(lambda scorer=scorer, scores=scores: scores.append(scorer.score(few, None)))
        say(f"{engine}: {seconds:.1f} s for {n} rows")
        found[engine] = {
            "samples_per_second": round(n / seconds, 4),
            "rows": n,
            "largest_difference": float(np.abs(scores[0].log_probs - ours).max()),
        }
    peer = fastest(
        loaded.model,
        loaded.tokenizer,
        texts,
        job.labels,
        sizes=lm_eval_batch_sizes,
        max_length=loaded.max_positions or 2048,
    )
    say(f"lm_eval: {peer.seconds:.1f} s for {n} rows, batch size {peer.batch_size}")
    # lm-eval counts white space at a prompt's end (a chat template's line end) as part of the label.
    comparable = not any(text[-1:].isspace() for text in texts)
    difference = np.abs(np.array(peer.log_likelihoods) - ours)
    found["lm_eval"] = {
        "samples_per_second": round(n / peer.seconds, 4),
        "rows": n,
        "batch_size": peer.batch_size,
        "batch_sizes_tried": list(lm_eval_batch_sizes),
        "largest_difference": float(difference.max()) if comparable else None,
    }
    return found


def memory(loaded: LoadedModel, job: Job) -> dict[str, Any]:
    """Peak memory of scoring, and of a plain forward pass over the same batch's tokens with last-position logits.

    The plain pass reads the tails and nodes of the largest batch as ordinary rows; it doesn't hold the shared prefix.
    """
    batches: list[PackedBatch] = []
    pack = tree_engine.pack

    def remember(*args: Any) -> PackedBatch:
        batches.append(pack(*args))
        return batches[-1]

    tree_engine.pack = remember  # type: ignore[assignment]
    try:
        LabelScorer(loaded, engine="tree").score(job.prompts, None)
    finally:
        tree_engine.pack = pack
    scoring = peak_bytes(lambda: LabelScorer(loaded, engine="tree").score(job.prompts, None))
    largest = max(batches, key=lambda batch: len(batch.tokens))
    parts = np.split(largest.tokens, largest.starts[1:-1])
    width = max(map(len, parts))
    ids = torch.tensor(np.stack([np.pad(part, (0, width - len(part))) for part in parts]), device=loaded.device)
    lengths = torch.tensor([len(part) for part in parts], device=loaded.device)
    mask = (torch.arange(width, device=loaded.device) < lengths[:, None]).long()

    @torch.inference_mode()
    def plain() -> None:
        loaded.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)

    forward = peak_bytes(plain)
    return {
        "batch_tokens": len(largest.tokens),
        "scoring_gib": round(scoring.total / 2**30, 3),
        "plain_forward_gib": round(forward.total / 2**30, 3),
        "ratio": round(scoring.total / forward.total, 3),
        "ratio_without_weights": round(scoring.beside_weights / forward.beside_weights, 3),
    }


def profile(loaded: LoadedModel, job: Job) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    scorer = LabelScorer(loaded, engine="tree")
    with profiler(activities=[ProfilerActivity.CUDA]) as found:
        seconds = timed(lambda: scorer.score(job.prompts, None))
    events = [event for event in found.key_averages() if event.self_device_time_total > 0]
    total = sum(event.self_device_time_total for event in events)
    print(f"device busy {total / 1e6:.3f} s of {seconds:.3f} s")
    for event in sorted(events, key=lambda event: -event.self_device_time_total)[:20]:
        print(f"  {event.self_device_time_total / total:6.1%} {event.count:6d} {event.key[:110]}")


def table(report: dict[str, Any]) -> str:
    machine = report["environment"]
    lines = [
        "# Label scoring",
        f"{', '.join(machine['gpus']) or machine['cpu']}, commit {report['commit']}.",
        f"| {' | '.join(COLUMNS)} |\n" + "|---" * len(COLUMNS) + "|",
    ]
    for row in report["results"]:
        peer, compiled = dict(row.get("peers", {}).get("lm_eval", {})), row.get("compiled", {})
        if not compiled.get("is_used"):
            compiled = {}
            peer.pop("compiled_engine_is_faster_by", None)
        cells = [
            row["model"], row["job"], row["labels"], row["tree_nodes"], row["shared_prefix_tokens"], row["rows"],
            row["samples_per_second"], row["of_floor"], compiled.get("samples_per_second", "–"),
            compiled.get("of_floor", "–"), peer.get("samples_per_second", "–"), peer.get("engine_is_faster_by", "–"),
            peer.get("compiled_engine_is_faster_by", "–"), row["memory"]["ratio"],
        ]  # fmt: skip
        lines[-1] += "\n| " + " | ".join(map(str, cells)) + " |"
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
