"""lm-eval's log-likelihoods on the same texts: equal wherever it puts the boundary of prompt and label where we do."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft.calibration.normalization import normalization_registry
from sft.calibration.normalization.rows import normalize_rows
from sft.config.schema import PromptingConfig
from sft.data.example import Example, LabelSet
from sft.inference.label_scorer import LabelScorer
from sft.label_scores import LabelScores, stacked
from sft.models.load import LoadedModel
from sft.models.source import ModelSource
from sft.prompting.build import LabelPrompt, PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import Demonstration

pytest.importorskip("lm_eval", reason="lm_eval is not installed")


class Case(NamedTuple):
    data: str
    model: str
    template: str | None
    n_labels: int
    shown: int
    rows: int


CASES = {
    "labels of one token": Case("sst2", "base-8m", "Review: {text}\nIt is ", 2, 0, 20),
    "many labels after in-context examples": Case("banking77", "base-8m", "Message: {text}\nIntent: ", 77, 5, 3),
    "a template of several lines": Case("trec", "base-8m", "Question:\n{text}\n\nIt asks for the ", 6, 2, 10),
    "a chat template, which ends prompts in a line end": Case("trec", "base-6m", None, 6, 1, 5),
}


class Peer:
    """lm-eval's model class around ours."""

    def __init__(self, loaded: LoadedModel) -> None:
        from lm_eval.models.huggingface import HFLM

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a model that is given as an object
            self._lm: Any = HFLM(
                pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=8, max_length=loaded.max_positions
            )

    def boundary(self, text: str, label: str) -> tuple[list[int], list[int]]:
        context, continuation = self._lm._encode_pair(text, label)
        return context, continuation

    def log_likelihoods(self, text: str, labels: list[str]) -> list[float]:
        from lm_eval.api.instance import Instance

        requests = [Instance("loglikelihood", {}, (text, label), i) for i, label in enumerate(labels)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [found[0] for found in self._lm.loglikelihood(requests, disable_tqdm=True)]


class Prepared(NamedTuple):
    loaded: LoadedModel
    prompts: list[LabelPrompt]
    texts: list[str]
    labels: list[str]


def prepare(case: Case, assets: Path) -> Prepared:
    path = assets / "models" / case.model
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    loaded = LoadedModel(model, tokenizer, ModelSource(str(path), None), model.config.max_position_embeddings)
    train, test = (
        [
            json.loads(line)
            for line in (assets / "data" / case.data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        for split in ("train", "test")
    )
    names = sorted({row["label"] for row in train})
    assert len(names) == case.n_labels
    labels = LabelSet(tuple(names), tuple(name.replace("_", " ") for name in names))
    prompting = PromptingConfig(
        instruction="Answer in few words.",
        input_columns=["text"],
        output_column="label",
        format="plain" if case.template else "chat",
        template=case.template,
    )
    encoder = TextEncoder(tokenizer)
    layout = choose_format(tokenizer, encoder, prompting)
    builder = PromptBuilder(encoder, layout, prompting, labels, None)
    shown = [
        Example(i, {"text": row["text"]}, label=names.index(row["label"])) for i, row in enumerate(train[: case.shown])
    ]
    queries = [Example(i, {"text": row["text"]}) for i, row in enumerate(test[: case.rows])]
    demonstrations = [Demonstration(e.inputs, labels.verbalisations[e.label or 0]) for e in shown]
    return Prepared(
        loaded,
        [builder.label_prompt(query, shown) for query in queries],
        ["".join(piece.text for piece in layout.prompt(demonstrations, query.inputs)) for query in queries],
        [layout.answer(text) for text in labels.verbalisations],
    )


@pytest.mark.parametrize("name", CASES)
def test_log_likelihoods_agree_where_the_boundaries_do(name: str, assets: Path) -> None:
    loaded, prompts, texts, labels = prepare(CASES[name], assets)
    peer = Peer(loaded)
    ours = LabelScorer(loaded).score(prompts, None).log_probs
    compared, apart = 0, []
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        theirs = peer.log_likelihoods(text, labels)
        for column, label in enumerate(labels):
            if peer.boundary(text, label) == (prompt.prompt, prompt.labels[column]):
                assert theirs[column] == pytest.approx(ours[row, column], abs=1e-4), (text, label)
                compared += 1
            else:
                apart.append(text)
    # lm-eval counts white space at a prompt's end as part of the label. Nothing else sets the two apart here.
    assert apart == [text for text in texts for _ in labels if text[-1].isspace()]
    assert compared + len(apart) == len(texts) * len(labels)
    assert (compared == 0) == (CASES[name].template is None)


def test_candidates_score_and_rank_as_in_lm_evals_own_task(assets: Path) -> None:
    """SciQ by lm-eval's prompt for it: `acc` is the largest sum, `acc_norm` the largest per character."""
    path = assets / "models/base-8m"
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    loaded = LoadedModel(model, tokenizer, ModelSource(str(path), None), model.config.max_position_embeddings)
    lines = (assets / "data/sciq/test.jsonl").read_text(encoding="utf-8").splitlines()[:8]
    rows = [Example(i, row, candidates=tuple(row[c] for c in "ABCD")) for i, row in enumerate(map(json.loads, lines))]
    template = "{support}\nQuestion: {question}\nAnswer: "
    prompting = PromptingConfig(
        input_columns=["support", "question"], output_column="label", format="plain", template=template
    )
    encoder = TextEncoder(tokenizer)
    builder = PromptBuilder(encoder, choose_format(tokenizer, encoder, prompting), prompting, None, None)
    ours = LabelScorer(loaded).score([builder.label_prompt(row, []) for row in rows], None).log_probs
    peer, lengths = Peer(loaded), np.array([[len(text) for text in row.candidates] for row in rows])
    texts = [template.format(**row.inputs).rstrip() for row in rows]
    theirs = np.array(
        [
            peer.log_likelihoods(text, [f" {candidate}" for candidate in row.candidates])
            for text, row in zip(texts, rows, strict=True)
        ]
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    normalized = normalize_rows(
        normalization_registry["characters"](),
        LabelScores(ours, np.ones_like(lengths)),
        [row.candidates for row in rows],
        stacked([]),
    )
    np.testing.assert_array_equal(normalized.argmax(axis=1), (theirs / lengths).argmax(axis=1))
