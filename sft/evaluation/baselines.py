"""What the same labelled rows are worth without a language model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics.accuracy import accuracy
from sft.evaluation.metrics.classification import balanced_accuracy, f1
from sft.evaluation.outcome import ClassificationOutcome


def classification_baselines(
    train_texts: Sequence[str],
    train_labels: Sequence[int],
    test_texts: Sequence[str],
    test_labels: Sequence[int],
    labels: tuple[str, ...],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Accuracy, balanced accuracy and macro F1 of two baselines that see a run's shots and answer its test rows.

    train_labels, test_labels: indices into `labels`. Keys: `majority`, and `tfidf_logistic_regression`, which is absent
    where it has nothing to learn: shots of fewer than two labels, or without a single character. The latter's
    `predictions` are there too, one index per test row, for paired tests against it.
    """
    references = np.asarray(test_labels, dtype=np.int64)
    baselines = {"majority": _majority(train_labels, references, labels)}
    predictions = _tfidf_logistic_regression(train_texts, train_labels, test_texts, seed)
    if predictions is not None:
        scores = _scores(references, predictions, labels)
        baselines["tfidf_logistic_regression"] = {**scores, "predictions": predictions.tolist()}
    return baselines


def _majority(train_labels: Sequence[int], references: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, Any]:
    """Scores of the label with the most shots for every row.

    Several labels can have the most, as all do with as many shots per label or with none: then each score is its
    expectation for a label drawn from those, which needs no draw: the mean over them.
    """
    counts = np.bincount(np.asarray(train_labels, dtype=np.int64), minlength=len(labels))
    most_frequent = np.flatnonzero(counts == counts.max())
    scores = [_scores(references, np.full_like(references, label), labels) for label in most_frequent]
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def _tfidf_logistic_regression(
    train_texts: Sequence[str], train_labels: Sequence[int], test_texts: Sequence[str], seed: int
) -> NDArray[np.int64] | None:
    """Predictions of a multinomial regression; see `tfidf_features`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(set(train_labels)) < 2:
        return None
    features = tfidf_features(train_texts)
    if features is None:
        return None
    classifier = LogisticRegression(max_iter=10_000, random_state=seed)
    model = make_pipeline(features, classifier)
    with warnings.catch_warnings():
        # one shot for each of many labels is meant here, and is no regression
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        model.fit(train_texts, train_labels)
    predictions: NDArray[np.int64] = model.predict(test_texts)
    return predictions


def tfidf_features(texts: Sequence[str]) -> Any:
    """TF-IDF of words (1-2-grams) and, for scripts without spaces, characters in words (2-4-grams), not fitted yet.

    None where no text has any of them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    vectorizers = {
        "words": TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True),
        "characters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
    }
    usable = [item for item in vectorizers.items() if _finds_something(item[1], texts)]
    return FeatureUnion(usable) if usable else None


def _finds_something(vectorizer: Any, texts: Sequence[str]) -> bool:
    """Whether any text has a feature; fitting a vectorizer on none is an error (texts of emoji have no words)."""
    analyze = vectorizer.build_analyzer()
    return any(analyze(text) for text in texts)


def _scores(references: NDArray[np.int64], predictions: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, Any]:
    outcome = ClassificationOutcome(labels, references, predictions)
    return {**accuracy(outcome), **balanced_accuracy(outcome), "macro_f1": f1(outcome)["macro_f1"]}
