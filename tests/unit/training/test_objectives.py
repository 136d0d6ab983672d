"""What every objective promises, and the formulae of each by loops over plain numbers."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sft.calibration.normalization import Reference, normalization_registry
from sft.config.schema import ExperimentConfig
from sft.label_scores import LabelScores
from sft.pipeline.checks import check_registered_names
from sft.training.objectives import LabelTokens, Objective, objective_registry
from sft.training.objectives.tfew import length_normalized_losses, unlikelihood_losses
from tests.docs.blocks import file_of
from tests.fakes import make_config

NAMES = list(objective_registry)
READING = [name for name in NAMES if objective_registry[name].reads_labels]
TEXTS = (" no", " yés, indeed", " a")
COUNTS = [[1, 3, 2], [1, 4, 2]]
RIGHT = [1, 0]


def tokens(*, end: bool = True, requires_grad: bool = False) -> LabelTokens:
    """Two rows, three labels. end: whether the end-of-turn is among the tokens."""
    counts = torch.tensor(COUNTS)
    lengths = counts + end
    generator = torch.Generator().manual_seed(1)
    log_probs = -torch.rand(2, 3, 5, generator=generator) * 3 - 0.01
    scored = torch.arange(5) < lengths[..., None]
    log_probs = torch.where(scored, log_probs, 0.0).requires_grad_(requires_grad)
    return LabelTokens(log_probs, scored, counts, torch.tensor(RIGHT), TEXTS, torch.tensor([-0.7, -2.0]))


def cross_entropy(scores: list[float], right: int) -> float:
    return math.log(sum(math.exp(score) for score in scores)) - scores[right]


def values_of(scored: LabelTokens) -> list[list[list[float]]]:
    """[row][label] → the log-probabilities of its tokens."""
    return [
        [row[label][mask[label]].tolist() for label in range(len(row))]
        for row, mask in zip(scored.log_probs, scored.scored, strict=True)
    ]


def test_the_registry_holds_the_objectives_of_the_documentation() -> None:
    assert {"next_token", "label_cross_entropy", "tfew"} <= set(NAMES)
    assert READING


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_keywords_with_annotations_and_defaults(name: str) -> None:
    parameters = inspect.signature(objective_registry[name]).parameters.values()
    assert all(
        p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.annotation is not p.empty for p in parameters
    )
    assert isinstance(objective_registry[name](), Objective)


@pytest.mark.parametrize("name", READING)
def test_losses_are_one_number_per_row_whatever_the_others_are(name: str) -> None:
    objective, scored = objective_registry[name](), tokens(requires_grad=True)
    losses = objective.losses(scored)
    assert losses.shape == (2,)
    assert bool(losses.isfinite().all())
    for i in range(2):
        alone = LabelTokens(
            scored.log_probs[i : i + 1], scored.scored[i : i + 1], scored.token_counts[i : i + 1],
            scored.right[i : i + 1], TEXTS, None if scored.answer is None else scored.answer[i : i + 1],
        )  # fmt: skip
        torch.testing.assert_close(objective.losses(alone), losses[i : i + 1])


@pytest.mark.parametrize("name", READING)
def test_a_better_right_label_makes_the_loss_smaller(name: str) -> None:
    scored = tokens(requires_grad=True)
    objective_registry[name]().losses(scored).sum().backward()
    gradient = scored.log_probs.grad
    assert gradient is not None
    for i, right in enumerate(RIGHT):
        for label in range(3):
            there = gradient[i, label][scored.scored[i, label]]
            assert bool((there < 0).all() if label == right else (there > 0).all())
    assert float(gradient[~scored.scored].abs().max()) >= 0  # finite where there is no token
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("normalization", ["none", "tokens", "characters", "bytes"])
def test_label_cross_entropy_is_that_of_the_scores_that_inference_normalises(normalization: str, end: bool) -> None:
    scored = tokens(end=end)
    losses = objective_registry["label_cross_entropy"](normalization=normalization).losses(scored)
    nothing = LabelScores(np.empty((0, 3)), np.empty((0, 3), dtype=np.int64))
    raw = LabelScores(np.array([[sum(label) for label in row] for row in values_of(scored)]), np.array(COUNTS))
    normalised = normalization_registry[normalization]().normalize(raw, Reference(TEXTS, nothing, nothing))
    expected = [cross_entropy(row, right) for row, right in zip(normalised.tolist(), RIGHT, strict=True)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("end", [True, False])
def test_the_parts_of_tfew_are_the_papers_formulae(end: bool) -> None:
    scored = tokens(end=end)
    unlikelihood, length_normalized = [], []
    for i, (row, right) in enumerate(zip(values_of(scored), RIGHT, strict=True)):
        wrong = [x for label, xs in enumerate(row) if label != right for x in xs]
        unlikelihood.append(-sum(math.log(1 - math.exp(x)) for x in wrong) / len(wrong))
        means = [sum(xs) / count for xs, count in zip(row, COUNTS[i], strict=True)]
        length_normalized.append(cross_entropy(means, right))
    np.testing.assert_allclose(unlikelihood_losses(scored).numpy(), unlikelihood, rtol=1e-5)
    np.testing.assert_allclose(length_normalized_losses(scored).numpy(), length_normalized, rtol=1e-5)
    weights = {"language_model": 0.5, "unlikelihood": 2.0, "length_normalized": 3.0}
    losses = objective_registry["tfew"](**weights).losses(scored)
    expected = 0.5 * np.array([0.7, 2.0]) + 2 * np.array(unlikelihood) + 3 * np.array(length_normalized)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)


def test_a_wrong_token_that_is_certain_breaks_nothing() -> None:
    scored = tokens()
    log_probs = scored.log_probs.clone()
    log_probs[0, 0, 0], log_probs[0, 0, 1], log_probs[0, 2, 0] = 0.0, -1e-9, -200.0
    log_probs.requires_grad_()
    loss = unlikelihood_losses(LabelTokens(log_probs, *list(scored.__dict__.values())[1:])).sum()
    loss.backward()
    assert math.isfinite(loss.item())
    assert log_probs.grad is not None
    assert bool(log_probs.grad.isfinite().all())
    assert float(log_probs.grad[0, 0, 0]) == 0.0


def test_one_label_alone_has_nothing_unlikely() -> None:
    scored = tokens()
    alone = LabelTokens(
        scored.log_probs[:, :1], scored.scored[:, :1], scored.token_counts[:, :1], torch.tensor([0, 0]), TEXTS[:1], None
    )
    assert unlikelihood_losses(alone).tolist() == [0.0, 0.0]


def test_the_objective_of_the_documentation_is_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective_registry, "_entries", dict(objective_registry))
    exec(file_of(repository / "docs/objectives.md", "margin.py"), {})
    assert check_registered_names(with_objective({"method": "margin", "args": {"by": 2.0}})) == []
    scored = tokens()
    expected = [
        max(0.0, 2.0 + max(score for label, score in enumerate(row) if label != right) - row[right])
        for row, right in zip(scored.scores.tolist(), RIGHT, strict=True)
    ]
    np.testing.assert_allclose(objective_registry["margin"](by=2.0).losses(scored).numpy(), expected, rtol=1e-6)


def with_objective(objective: Any, task_type: str = "classification", **trainer_args: Any) -> ExperimentConfig:
    dataset = {"task_type": task_type}
    return make_config(dataset=dataset, training={"objective": objective, "trainer_args": trainer_args})


ACCEPTED: list[tuple[Any, str]] = [
    *((name, "classification") for name in NAMES),
    *(({"method": name}, "classification") for name in NAMES),
    ("next_token", "generation"),
    ({"method": "label_cross_entropy", "args": {"normalization": "bytes"}}, "classification"),
    ({"method": "tfew", "args": {"unlikelihood": 0, "length_normalized": 2}}, "classification"),
]


@pytest.mark.parametrize(("objective", "task_type"), ACCEPTED, ids=str)
def test_a_name_or_a_name_with_its_arguments_is_accepted(objective: Any, task_type: str) -> None:
    assert check_registered_names(with_objective(objective, task_type)) == []


# Objective, task, arguments of the trainer, the key of the one problem, a part of its text.
ARGS = "training.objective.args"
TRAINER = "training.trainer_args"
REFUSED: list[tuple[Any, str, dict[str, Any], str, str]] = [
    ("label_crossentropy", "classification", {}, "training.objective.method", "did you mean 'label_cross_entropy'?"),
    ({"method": "tfew", "args": {"weight": 1}}, "classification", {}, f"{ARGS}.weight", "no argument"),
    (
        {"method": "tfew", "args": {"unlikelihood": -1}},
        "classification", {}, f"{ARGS}.unlikelihood", "must be >= 0",
    ),
    (
        {"method": "tfew", "args": {"language_model": 0, "unlikelihood": 0, "length_normalized": 0}},
        "classification", {}, ARGS, "all weights are 0",
    ),
    (
        {"method": "label_cross_entropy", "args": {"normalization": "pmi"}},
        "classification", {}, f"{ARGS}.normalization", "must be 'none', 'tokens', 'characters' or 'bytes'",
    ),
    ({"method": "next_token", "args": {"x": 1}}, "classification", {}, f"{ARGS}.x", "no argument"),
    *(
        (name, "generation", {}, "training.objective", f"{name!r} compares the labels of a classification")
        for name in READING
    ),
    ("tfew", "classification", {"packing": True}, f"{TRAINER}.packing", "which the objective 'tfew' replaces"),
    ("tfew", "classification", {"padding_free": True}, f"{TRAINER}.padding_free", "remove it"),
    ("tfew", "classification", {"completion_only_loss": False}, f"{TRAINER}.completion_only_loss", "remove"),
    ("tfew", "classification", {"loss_type": "dft"}, f"{TRAINER}.loss_type", "remove it"),
    ("tfew", "classification", {"label_smoothing_factor": 0.1}, f"{TRAINER}.label_smoothing_factor", "remove it"),
]  # fmt: skip


def test_flat_batches_of_sequences_are_refused() -> None:
    (problem,) = check_registered_names(make_config(training={"objective": "tfew", "batches": "flat"}))
    assert problem.key == "training.batches"


@pytest.mark.parametrize(("objective", "task_type", "arguments", "key", "text"), REFUSED, ids=str)
def test_what_makes_no_sense_is_refused_naming_the_key(
    objective: Any, task_type: str, arguments: dict[str, Any], key: str, text: str
) -> None:
    (problem,) = check_registered_names(with_objective(objective, task_type, **arguments))
    assert problem.key == key
    assert text in str(problem)
