"""Generation: tokens per second and time to finish 512 ragged prompts, beside transformers' own ways.

    python benchmarks/generation.py --assets ../shared                      # CPU, base-31m
    python benchmarks/generation.py --assets ../shared --shapes 0.5b 7b     # one GPU, random weights

Prompts are questions of sciq after their passages (`questions`), or the same after four of them with their answers
(`in_context`, which all prompts then share). Every row ends after as many tokens as `output_lengths.json` says,
whatever the model says, in all ways alike. Decoding is greedy. The ways, all in one run and on the same prompts:

- `chosen`: the decoder that is chosen, the choosing (a trial on two prompts) included; the median of three runs after
  one to warm up
- `padded`: transformers' `generate` on left-padded batches in arrival order, with the best of several batch sizes; one
  that takes longer than the best so far is given up (null where it was, or where memory ran out)
- `sorted`: the same with prompts sorted by length, as the static decoder has them
- `generate_batch`: transformers' continuous batching
- `constrained`: what masks cost; the first 64 prompts in one static batch, 64 steps, with and without a JSON Schema

Seconds are those of the clock on a GPU, and those that the process computed on a CPU (of one thread, with
OMP_NUM_THREADS=1, where other work shares the machine). On a GPU weights have Qwen2.5's shapes and are drawn at random
(speed doesn't depend on them), with the 8 k-token tokenizer of the quickstart and a head of 152 064 tokens.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import torch
from machine import commit
from output_lengths import output_lengths
from scoring_jobs import SHAPES, pretrained_model, random_model
from timing import device, free_memory
from timing import timed as wall_time
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from sft.environment import environment
from sft.inference.constrained.constraint import json_schema_constraint
from sft.inference.constrained.vocabulary import Vocabulary
from sft.inference.generation.choose import choose_decoder
from sft.inference.generation.decoders import DecoderOptions, Prompt, decoder_registry
from sft.inference.generation.settings import Decoding
from sft.models.load import LoadedModel

SIZES = {"cuda": [512, 256, 128], "cpu": [16, 32, 64]}
NEVER = -1  # an EOS that no model says
EXAMPLES = 4
CONSTRAINED = 64  # rows, and steps
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "date": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "date", "people"],
}
Answers = dict[int, list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=Path("../shared"), help="folder with data/ and models/")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, help="random weights instead of base-31m")
    parser.add_argument("--jobs", nargs="+", choices=("questions", "in_context"), default=["questions"])
    parser.add_argument("--rows", type=int, default=512, help="at most so many rows")
    parser.add_argument("--sizes", nargs="+", type=int, help="batch sizes of the peers, of which the best counts")
    parser.add_argument("--skip", nargs="+", default=[], help="ways that are not measured")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the chosen decoder after the first")
    parser.add_argument("--seconds", type=float, default=120.0, help="generate_batch is given up after so long")
    parser.add_argument("--profile", action="store_true", help="say where the chosen decoder's time goes on a GPU")
    parser.add_argument("--append", action="store_true", help="keep what the file of results holds of other models")
    parser.add_argument("--commit", help="what to sign with where there is no git")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)  # that the EOS is none
    models: dict[str, Callable[[], LoadedModel]] = {
        name: lambda name=name: random_model(SHAPES[name]) for name in arguments.shapes or ()
    }
    models = models or {"base-31m": lambda: pretrained_model(arguments.assets / "models/base-31m")}
    results = kept_results(arguments.out) if arguments.append else []
    for model_name, make in models.items():
        loaded = make()
        for job in arguments.jobs:
            prompts = build_prompts(job, arguments.assets, loaded, arguments.rows)
            result: dict[str, Any] = {"model": model_name, "job": job, **describe(prompts)}
            results.append(result)
            say(f"{model_name}, {job}: {describe(prompts)}")
            for name, measure in WAYS.items():
                if name not in arguments.skip:
                    result[name] = measure(loaded, prompts, arguments)
                    say(f"{name}: { {k: v for k, v in result[name].items() if k != 'answers'} }")
                    written = write(results, arguments.out, arguments.commit or commit())
        del loaded
        free_memory()
    print(written)


def build_prompts(job: str, assets: Path, loaded: LoadedModel, count: int) -> list[Prompt]:
    rows = [
        json.loads(line)
        for split in ("train", "test")
        for line in (assets / "data/sciq" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    shown, asked = ([], rows) if job == "questions" else (rows[:EXAMPLES], rows[EXAMPLES:])
    before = "".join(f"{question(row)}{row[row['label']]}\n\n" for row in shown)
    texts = [before + question(row) for row in asked[:count]]
    lengths = output_lengths()
    most = (loaded.max_positions or 2**30) - max(lengths)
    ids = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"][-most:] for text in texts]
    return [Prompt(i, one, limit) for i, (one, limit) in enumerate(zip(ids, lengths, strict=False))]


def question(row: dict[str, str]) -> str:
    return f"{row['support']}\n{row['question']}\n"


def describe(prompts: Sequence[Prompt]) -> dict[str, Any]:
    lengths = [len(prompt.ids) for prompt in prompts]
    return {
        "rows": len(prompts),
        "prompt_tokens": {"mean": statistics.fmean(lengths), "median": statistics.median(lengths), "max": max(lengths)},
        "new_tokens": sum(prompt.limit for prompt in prompts),
        "longest_answer": max(prompt.limit for prompt in prompts),
    }


def decoding(loaded: LoadedModel) -> Decoding:
    config = GenerationConfig(
        do_sample=False, max_new_tokens=512, eos_token_id=[NEVER], pad_token_id=loaded.tokenizer.pad_token_id
    )
    return Decoding(config)


class Limits(StoppingCriteria):
    """Every row ends at a length of its own."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = torch.tensor(lengths, device=device())

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return input_ids.shape[1] >= self.lengths


@torch.inference_mode()
def padded_batch(loaded: LoadedModel, prompts: Sequence[Prompt]) -> Answers:
    width = max(len(prompt.ids) for prompt in prompts)
    pad = loaded.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt.ids)) + prompt.ids for prompt in prompts], device=device())
    mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=device())
    found = loaded.model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=decoding(loaded).for_generate(max(prompt.limit for prompt in prompts)),
        stopping_criteria=StoppingCriteriaList([Limits([width + prompt.limit for prompt in prompts])]),
    )
    return {p.number: row[width : width + p.limit].tolist() for p, row in zip(prompts, found, strict=True)}


def padded(loaded: LoadedModel, prompts: Sequence[Prompt], size: int) -> Answers:
    answers: Answers = {}
    for start in range(0, len(prompts), size):
        answers |= padded_batch(loaded, prompts[start : start + size])
    return answers


def clock() -> float:
    return time.perf_counter() if device() == "cuda" else time.process_time()


def timed(work: Callable[[], Any]) -> float:
    """Seconds on a GPU. On a CPU the process's own, of all its threads, since other work may share the machine."""
    if device() == "cuda":
        return wall_time(work)
    started = clock()
    work()
    return clock() - started


class TooSlowError(Exception):
    """Another batch size was faster."""


def best_of_sizes(
    loaded: LoadedModel, run: Callable[[int], Answers], prompts: Sequence[Prompt], arguments: Any
) -> dict[str, Any]:
    seconds: dict[int, float | None] = {}
    answers: Answers = {}
    for size in arguments.sizes or SIZES[device()]:
        best = min((value for value in seconds.values() if value is not None), default=float("inf"))
        deadline = clock() + best

        def check(*_: Any, deadline: float = deadline) -> None:
            if clock() > deadline:
                raise TooSlowError

        hook = loaded.model.register_forward_pre_hook(check)
        try:
            seconds[size] = timed(lambda size=size: answers.update(run(size)))
        except (torch.cuda.OutOfMemoryError, TooSlowError) as error:
            seconds[size] = None
            say(f"  {size} rows: {type(error).__name__}")
        finally:
            hook.remove()
        free_memory()
        say(f"  {size} rows: {seconds[size]}")
    fastest = min((value, size) for size, value in seconds.items() if value is not None)
    return {**speed(prompts, fastest[0]), "batch_size": fastest[1], "seconds_by_batch_size": seconds, **hashed(answers)}


def measure_padded(loaded: LoadedModel, prompts: Sequence[Prompt], arguments: Any) -> dict[str, Any]:
    padded_batch(loaded, [prompt._replace(limit=3) for prompt in prompts[:8]])
    return best_of_sizes(loaded, lambda size: padded(loaded, prompts, size), prompts, arguments)


def measure_sorted(loaded: LoadedModel, prompts: Sequence[Prompt], arguments: Any) -> dict[str, Any]:
    by_length = sorted(prompts, key=lambda prompt: -len(prompt.ids))
    return best_of_sizes(loaded, lambda size: padded(loaded, by_length, size), prompts, arguments)


def measure_generate_batch(loaded: LoadedModel, prompts: Sequence[Prompt], arguments: Any) -> dict[str, Any]:
    """In a thread that is left behind when it takes too long or ends in an error."""
    from transformers import ContinuousBatchingConfig

    config = ContinuousBatchingConfig(num_blocks=256, max_batch_tokens=256) if device() == "cpu" else None
    answers: Answers = {}
    before = loaded.model.config._attn_implementation
    numbers = {f"row_{prompt.number}": prompt.number for prompt in prompts}
    started = clock()
    manager = loaded.model.init_continuous_batching(
        generation_config=decoding(loaded).for_generate(512), continuous_batching_config=config
    )
    try:
        manager.start()
        for prompt in prompts:
            manager.add_request(prompt.ids, request_id=f"row_{prompt.number}", max_new_tokens=prompt.limit)
        while len(answers) < len(prompts):
            if clock() - started > arguments.seconds:
                return {"error": f"{len(answers)} of {len(prompts)} rows were finished after {arguments.seconds} s"}
            found = manager.get_result(timeout=1)
            if found is not None and found.is_finished():
                answers[numbers[found.request_id]] = list(found.generated_tokens)
            elif found is None and not manager.is_running():
                return {"error": "its thread ended"}
        seconds = clock() - started
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:  # a peer that fails is a result
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        threading.Thread(target=lambda: manager.stop(block=True, timeout=5), daemon=True).start()
        time.sleep(2)
        loaded.model.set_attn_implementation(before)
        free_memory()
    return {**speed(prompts, seconds), **hashed(answers)}


def measure_chosen(loaded: LoadedModel, prompts: Sequence[Prompt], arguments: Any) -> dict[str, Any]:
    answers: Answers = {}
    reports = []

    def run() -> None:
        choice = choose_decoder(loaded, decoding(loaded), DecoderOptions(), prompts)
        reports.append(choice.report())
        choice.decoder(prompts, 0, lambda number, ids: answers.update({number: ids}))

    first = timed(run)
    assert all(len(answers[prompt.number]) == prompt.limit for prompt in prompts)
    times = [timed(run) for _ in range(arguments.repeats)]
    result = {**speed(prompts, statistics.median(times)), "seconds_each": times, "seconds_of_first_run": first}
    result["report"] = reports[-1]
    if arguments.profile:
        result["profile"] = profile(run)
    return result | hashed(answers)


def measure_constrained(loaded: LoadedModel, prompts: Sequence[Prompt], arguments: Any) -> dict[str, Any]:
    """Seconds of one batch with and without masks, in turns.

    Untrained weights seldom close a text, so nearly all rows are masked in all steps, and closed near the limit.
    """
    rows = [prompt._replace(limit=CONSTRAINED) for prompt in prompts[:CONSTRAINED]]
    end = loaded.tokenizer.eos_token_id
    constraint = json_schema_constraint(SCHEMA, Vocabulary.of(loaded, end))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    answers: Answers = {}
    for turn in range(1 + arguments.repeats):
        for constrained in (True, False):
            options = DecoderOptions(len(rows), constraint if constrained else None)
            decoder = decoder_registry["static"](loaded, decoding(loaded), options)
            found: Answers = {}
            took = timed(lambda: decoder(rows, 0, lambda number, ids: found.update({number: ids})))  # noqa: B023
            if turn:  # the first one warms up
                seconds[constrained].append(took)
            answers = found if constrained else answers
    texts = [ids[: ids.index(end)] if end in ids else ids for ids in answers.values()]
    free, masked = (statistics.median(seconds[constrained]) for constrained in (False, True))
    tokens = sum(len(text) + 1 for text in texts)
    return {
        "rows": len(rows),
        "steps": CONSTRAINED,
        "masked_tokens": tokens,
        "milliseconds_per_step": 1000 * masked / CONSTRAINED,
        "milliseconds_per_step_without_masks": 1000 * free / CONSTRAINED,
        "milliseconds_of_masks_per_token": 1000 * (masked - free) / tokens,
        "valid": sum(is_valid(loaded.tokenizer.decode(text)) for text in texts),
    }


def is_valid(text: str) -> bool:
    try:
        jsonschema.validate(json.loads(text), SCHEMA)
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False
    return True


def profile(work: Callable[[], Any]) -> list[dict[str, Any]]:
    """The kernels that take most of the GPU's time."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    kernels = sorted(found.key_averages(), key=lambda one: -one.self_device_time_total)
    return [
        {"kernel": one.key[:90], "calls": one.count, "ms": round(one.self_device_time_total / 1000, 1)}
        for one in kernels[:25]
    ]


WAYS = {
    "chosen": measure_chosen,
    "padded": measure_padded,
    "sorted": measure_sorted,
    "generate_batch": measure_generate_batch,
    "constrained": measure_constrained,
}


def speed(prompts: Sequence[Prompt], seconds: float) -> dict[str, Any]:
    tokens = sum(prompt.limit for prompt in prompts)
    return {"seconds": seconds, "tokens_per_second": tokens / seconds, "rows_per_second": len(prompts) / seconds}


def hashed(answers: Answers) -> dict[str, Any]:
    """To compare answers of several ways, row by row."""
    return {"answers": [hash(tuple(answers[number])) for number in sorted(answers)]}


def results_file(out: Path) -> Path:
    return out / f"generation_{'gpu' if torch.cuda.is_available() else 'cpu'}.json"


def kept_results(out: Path) -> list[dict[str, Any]]:
    return list(json.loads(results_file(out).read_text())["results"]) if results_file(out).exists() else []


def write(results: Sequence[dict[str, Any]], out: Path, signed: str) -> str:
    """After every way, so that what is measured isn't lost. Returns the table."""
    shown = []
    for result in results:
        ways = {name: dict(result[name]) for name in WAYS if name in result}
        reference = ways.get("chosen", {}).get("answers")
        for way in ways.values():
            answers = way.pop("answers", None)
            if answers is not None and reference is not None:
                way["rows_as_chosen"] = sum(a == b for a, b in zip(answers, reference, strict=True))
            if "seconds" in way and "seconds" in ways.get("chosen", {}):
                way["chosen_is_faster_by"] = way["seconds"] / ways["chosen"]["seconds"]
        shown.append(result | ways)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    report = {
        "results": shown,
        "environment": environment(),
        "card": card,
        "threads": torch.get_num_threads(),
        "commit": signed,
    }
    out.mkdir(exist_ok=True, parents=True)
    results_file(out).write_text(json.dumps(report, indent=2) + "\n")
    results_file(out).with_suffix(".md").write_text(table(report))
    return table(report)


def table(report: dict[str, Any]) -> str:
    lines = [
        "| model | job | way | batch size | seconds | tokens/s | chosen is faster by | rows alike |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in report["results"]:
        for name in WAYS:
            way = result.get(name, {})
            if "seconds" in way:
                cells = [result["model"], result["job"], name, str(way.get("batch_size", "auto"))]
                cells += [f"{way['seconds']:.2f}", f"{way['tokens_per_second']:.0f}"]
                cells += [f"{way.get('chosen_is_faster_by', 1):.2f}", str(way.get("rows_as_chosen", ""))]
                lines.append("| " + " | ".join(cells) + " |")
            elif "valid" in way:
                cells = [result["model"], result["job"], name, str(way["rows"])]
                cells += [
                    f"{way['milliseconds_per_step_without_masks']:.1f} → {way['milliseconds_per_step']:.1f} ms a step"
                ]
                cells += [f"{way['milliseconds_of_masks_per_token']:.2f} ms a token", "", f"{way['valid']} valid"]
                lines.append("| " + " | ".join(cells) + " |")
            elif "error" in way:
                lines.append(f"| {result['model']} | {result['job']} | {name} | | {way['error']} | | | |")
    return "\n".join(lines) + "\n"


def say(what: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {what}", flush=True)


if __name__ == "__main__":
    main()
