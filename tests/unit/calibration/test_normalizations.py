"""Score normalisations: what each promises, and each against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sft.calibration import Needs
from sft.calibration.contextual import ContextualCalibration
from sft.calibration.normalization import Normalization, Reference, normalization_registry
from sft.label_scores import LabelScores, probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config
from tests.unit.calibration.supports import support

NAMES = list(normalization_registry)
VERBALISATIONS = (" no", " mañana", "😀")
NOTHING = LabelScores(np.empty((0, 2)), np.empty((0, 2), dtype=np.int64))


def scored(n_rows: int, seed: int) -> LabelScores:
    generator = np.random.default_rng(seed)
    return LabelScores(-generator.gamma(3.0, size=(n_rows, 3)) - 1, generator.integers(1, 5, size=(n_rows, 3)))


TEST = scored(4, 1)
REFERENCE = Reference(VERBALISATIONS, scored(1, 2), scored(3, 3))


def normalization(name: str) -> Normalization:
    made: Normalization = normalization_registry[name]()
    return made


def normalized(name: str, scores: LabelScores = TEST, reference: Reference = REFERENCE) -> np.ndarray:
    return normalization(name).normalize(scores, reference)


def test_the_registry_holds_the_published_ones() -> None:
    assert {"none", "tokens", "characters", "bytes", "pmi", "calibrated_tokens"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_the_config_check_and_says_what_it_needs(name: str) -> None:
    assert check_registered_names(make_config(inference={"score_normalization": name})) == []
    needs = normalization(name).needs
    assert needs == Needs(content_free=needs.content_free, premise=needs.premise), "the rest is for calibrations"


def test_an_unknown_one_is_refused_with_the_nearest_name() -> None:
    (problem,) = check_registered_names(make_config(inference={"score_normalization": "token"}))
    assert (problem.key, problem.fix) == ("inference.score_normalization", "did you mean 'tokens'?")


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_normalised_alone_and_nothing_is_changed_in_place(name: str) -> None:
    before = TEST.log_probs.copy()
    together = normalized(name)
    np.testing.assert_array_equal(TEST.log_probs, before)
    assert np.isfinite(together).all()
    for i in range(4):
        row = LabelScores(TEST.log_probs[i : i + 1], TEST.token_counts[i : i + 1])
        np.testing.assert_array_equal(normalized(name, row)[0], together[i])


@pytest.mark.parametrize("name", NAMES)
def test_scores_per_prompt_are_normalised_like_any_others(name: str) -> None:
    """[N, M, L] instead of [N, L]."""
    stacked = LabelScores(TEST.log_probs.reshape(2, 2, 3), TEST.token_counts.reshape(2, 2, 3))
    np.testing.assert_array_equal(normalized(name, stacked).reshape(4, 3), normalized(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_labels_is_kept(name: str) -> None:
    labels = [2, 0, 1]

    def permuted(scores: LabelScores) -> LabelScores:
        return LabelScores(scores.log_probs[:, labels], scores.token_counts[:, labels])

    other = Reference(
        tuple(VERBALISATIONS[i] for i in labels), permuted(REFERENCE.premise), permuted(REFERENCE.content_free)
    )
    np.testing.assert_array_equal(normalized(name, permuted(TEST), other), normalized(name)[:, labels])


# By hand: one row with scores -6, -12, -3 and 2, 3, 4 tokens; "no", "mañana", "😀" have 2, 6, 1 characters and 2, 7, 4
# bytes, the space before a verbalisation left out.
ROW = LabelScores(np.array([[-6.0, -12.0, -3.0]]), np.array([[2, 3, 4]]))
BY_HAND = {
    "none": [-6.0, -12.0, -3.0],
    "tokens": [-3.0, -4.0, -0.75],
    "characters": [-3.0, -2.0, -3.0],
    "bytes": [-3.0, -12 / 7, -0.75],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_hand_example(name: str) -> None:
    np.testing.assert_allclose(normalized(name, ROW), [BY_HAND[name]], atol=1e-12)


def test_white_space_around_a_verbalisation_is_no_part_of_its_length() -> None:
    bare = Reference(("no", "mañana", "😀"), REFERENCE.premise, REFERENCE.content_free)
    around = Reference((" no", "\tmañana ", " 😀\n"), REFERENCE.premise, REFERENCE.content_free)
    for name in ("characters", "bytes"):
        np.testing.assert_array_equal(normalized(name, reference=around), normalized(name, reference=bare))


def test_pmi_is_the_logarithm_of_a_ratio_of_probabilities() -> None:
    """p(y|x) / p(y|premise) by hand: 0.2 / 0.4 and 0.1 / 0.05 make the rarer label win."""
    row = LabelScores(np.log([[0.2, 0.1]]), np.array([[1, 1]]))
    premise = LabelScores(np.log([[0.4, 0.05]]), np.array([[1, 1]]))
    reference = Reference((" a", " b"), premise, NOTHING)
    np.testing.assert_allclose(np.exp(normalized("pmi", row, reference)), [[0.5, 2.0]], atol=1e-12)


def test_pmi_with_a_premise_that_favours_no_label_changes_no_probability() -> None:
    uniform = LabelScores(np.full((1, 3), -7.5), np.ones((1, 3), dtype=np.int64))
    changed = normalized("pmi", reference=Reference(VERBALISATIONS, uniform, REFERENCE.content_free))
    np.testing.assert_allclose(probabilities(changed), probabilities(TEST.log_probs), atol=1e-12)


def test_calibrated_tokens_divides_geometric_means_of_tokens() -> None:
    """By hand, in probability space: the labels have 1 and 2 tokens. p = (0.3, 0.04) gives geometric means (0.3, 0.2);
    content-free ones are (0.5, 0.1) and (0.1, 0.3), with means (0.3, 0.2).
    """
    counts = np.array([[1, 2]])
    row = LabelScores(np.log([[0.3, 0.04]]), counts)
    content_free = LabelScores(np.log([[0.5, 0.01], [0.1, 0.09]]), np.repeat(counts, 2, axis=0))
    reference = Reference((" a", " b c"), NOTHING, content_free)
    np.testing.assert_allclose(np.exp(normalized("calibrated_tokens", row, reference)), [[1.0, 1.0]], atol=1e-12)


def test_contextual_calibration_of_calibrated_tokens_changes_nothing_more() -> None:
    """Its prior is what calibrated tokens have divided out already."""
    once = normalized("calibrated_tokens")
    content_free = normalized("calibrated_tokens", REFERENCE.content_free)
    twice = ContextualCalibration().adjust(once, support(content_free=content_free)).scores
    np.testing.assert_allclose(probabilities(twice), probabilities(once), atol=1e-12)


def test_contextual_calibration_undoes_pmi() -> None:
    """A constant per label on test rows and content-free inputs alike cancels out."""
    plain = ContextualCalibration().adjust(TEST.log_probs, support(content_free=REFERENCE.content_free.log_probs))
    content_free = normalized("pmi", REFERENCE.content_free)
    after_pmi = ContextualCalibration().adjust(normalized("pmi"), support(content_free=content_free))
    np.testing.assert_allclose(probabilities(after_pmi.scores), probabilities(plain.scores), atol=1e-12)
