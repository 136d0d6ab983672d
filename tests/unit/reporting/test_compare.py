"""Two runs on the same rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binomtest

from sft.errors import SftError
from sft.reporting.compare import compare_runs
from sft.reporting.comparison_files import comparison_json, comparison_markdown
from tests.unit.reporting.runs_on_disk import write_run, write_texts

REFERENCES = [0, 1, 2] * 20
WORSE = [0] * 60
BETTER = [0, 1, 2] * 15 + [0, 1, 1] * 5


def test_metrics_classes_and_mcnemar_are_those_of_the_items(tmp_path: Path) -> None:
    found = compare_runs(write_run(tmp_path, REFERENCES, WORSE), write_run(tmp_path, REFERENCES, BETTER, seed=14))
    accuracy = next(each for each in found.metrics if each.name == "accuracy")
    assert (accuracy.first, accuracy.second) == (20 / 60, 55 / 60)
    assert accuracy.difference == pytest.approx(35 / 60)
    assert accuracy.low is not None and accuracy.high is not None  # noqa: PT018
    assert 0.4 < accuracy.low < 35 / 60 < accuracy.high < 0.75
    assert accuracy.p == pytest.approx(2 / 10_000)
    recall = next(each for each in found.classes if (each.name, each.of) == ("recall", "c"))
    assert (recall.first, recall.second) == (0.0, 0.75)
    assert found.mcnemar[:4] == (20, 0, 35, 5)
    assert found.mcnemar.p == pytest.approx(binomtest(0, 35).pvalue)
    assert len(found.items) == 40
    assert comparison_json(found, 0)["items_differing"] == {"only second": 35, "neither": 5}
    assert comparison_json(found, 0)["items"] == []


def test_the_limit_of_items_is_told(tmp_path: Path) -> None:
    found = compare_runs(write_run(tmp_path, REFERENCES, WORSE), write_run(tmp_path, REFERENCES, BETTER, seed=14))
    text = comparison_markdown(found, 2)
    assert (
        "Predictions differ on 40 of 60 rows (only second right: 35, neither right: 5). The first 2 are listed." in text
    )
    assert "| 1 | text 1 | b | a | b | only second |" in text
    assert "text 4" not in text


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    found = compare_runs(write_run(tmp_path, REFERENCES, BETTER), write_run(tmp_path, REFERENCES, BETTER, seed=14))
    assert {each.p for each in found.metrics if each.low is not None} == {1.0}
    assert found.mcnemar.p == 1.0
    assert not found.items


def test_generated_texts_are_compared_by_exact_match(tmp_path: Path) -> None:
    first = write_texts(tmp_path, ["a cat", "dogs", "birds"], ["cat", "dog", "bird"])
    second = write_texts(tmp_path, ["a cat", "dogs", "birds"], ["The cat!", "dogs", "bird"], seed=14)
    found = compare_runs(first, second / "record.json")
    assert found.right == "exact_match"
    assert found.mcnemar[:4] == (1, 0, 1, 1)
    assert [item.who for item in found.items] == ["both", "only second"]
    assert not found.classes
    bleu = next(each for each in found.metrics if each.name == "bleu")
    assert bleu.low is None
    assert bleu.p is None


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path, [0, 1, 2], [0, 1, 2])
    refused = [
        (write_run(tmp_path, [0, 1], [0, 1]), "different test rows: 3 and 2, of which 2 have the same number"),
        (write_run(tmp_path, [0, 1, 1], [0, 1, 2]), "1 of 3 test rows have other references"),
        (write_texts(tmp_path, ["a", "b", "c"], ["a", "b", "c"]), "different tasks: classification and generation"),
        (tmp_path, "no record.json in it"),
    ]
    for other, message in refused:
        with pytest.raises(SftError, match=message) as error:
            compare_runs(one, other)
        assert error.value.hint
