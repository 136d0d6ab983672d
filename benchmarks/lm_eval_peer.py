"""lm-eval's `multiple_choice` on given prompts and labels: its log-likelihoods, and how fast it is."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch


class PeerResult(NamedTuple):
    """log_likelihoods: [rows][labels]. seconds: of scoring alone, without loading data and summarising."""

    log_likelihoods: list[list[float]]
    seconds: float
    batch_size: int


def lm_eval_scores(
    model: Any, tokenizer: Any, prompts: Sequence[str], labels: Sequence[str], *, batch_size: int, max_length: int
) -> PeerResult:
    """Run the harness on a local task in which every prompt has the same choices, appended verbatim."""
    import lm_eval
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    language_model = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, max_length=max_length)
    timed = _Timed(language_model.loglikelihood)
    language_model.loglikelihood = timed
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test.jsonl"
        rows = ({"prompt": prompt, "choices": list(labels), "target": 0} for prompt in prompts)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        task = ConfigurableTask(
            config={
                "task": "peer",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(file)}},
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": "prompt",
                "doc_to_choice": "choices",
                "doc_to_target": "target",
                "target_delimiter": "",
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            }
        )
        results = lm_eval.simple_evaluate(model=language_model, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(results["samples"]["peer"], key=lambda sample: sample["doc_id"])
    log_likelihoods = [[response[0] for response in sample["filtered_resps"]] for sample in samples]
    return PeerResult(log_likelihoods, timed.seconds, batch_size)


def fastest(
    model: Any, tokenizer: Any, prompts: Sequence[str], labels: Sequence[str], *, sizes: Sequence[int], max_length: int
) -> PeerResult:
    """The result with the batch size that was fastest on these prompts."""
    results = []
    for size in sizes:
        try:
            results.append(lm_eval_scores(model, tokenizer, prompts, labels, batch_size=size, max_length=max_length))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
    return min(results, key=lambda result: result.seconds)


class _Timed:
    """A function that remembers how long it took."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = self._function(*args, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started
        return result
