"""Scores of the shots for calibrations that learn from labels: no model or prompt shows the label that is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.data.folds import stratified_folds
from sft.errors import SftError
from sft.models import base_models
from sft.pipeline import folds as pipeline_folds
from sft.pipeline import model
from sft.pipeline.endpoints import Run, evaluate, run_experiment, start, train
from sft.pipeline.predict import predict
from sft.records import read_items, read_support
from tests.fakes import LABELS, byte_tokenizer, labelled_rows
from tests.integration.test_in_context import prompt, scores_of
from tests.scorer_spy import spy_on_scoring
from tests.tiny_runs import tiny_run

TRAIN = labelled_rows(6)
TEST = labelled_rows(2, prefix="unseen ")
TEMPERATURE = {"calibration": {"method": "temperature"}}
TOKENIZER = byte_tokenizer()


def run_config(folder: Path, **sections: Any) -> ExperimentConfig:
    dataset = {"shots": 2, **sections.pop("dataset", {})}
    return tiny_run(folder, train=TRAIN, test=TEST, dataset=dataset, **sections)


def shots_of(run: Run) -> list[dict[str, Any]]:
    return [item for item in read_support(run.folder) if item["kind"] == "shot"]


def lines(texts: list[str]) -> set[str]:
    """The inputs that prompts or sequences show."""
    return {line.removeprefix("Text: ") for text in texts for line in text.split("\n") if line.startswith("Text: ")}


@pytest.mark.parametrize("sampling", ["fixed", "per_prompt"])
def test_no_shot_is_shown_to_itself(sampling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spy_on_scoring(monkeypatch)
    inference = {"icl_examples": 2, "score_shots": True}
    config = run_config(tmp_path, dataset={"shots": 3}, prompting={"icl_sampling": sampling}, inference=inference)
    run = evaluate(config, tmp_path / "results")
    (prompts,) = calls
    of_shots = [TOKENIZER.decode(one.prompt) for one in prompts[-9:]]
    for shot, text in zip(shots_of(run), of_shots, strict=True):
        *shown, query = text.split("\n\n")
        assert query == f"Text: {shot['inputs']['text']}\nLabel:"
        assert len(shown) == 6
        assert shot["inputs"]["text"] not in lines(shown)
    assert run.record.inference["scored_shots"] == {"method": "leave-one-out", "rows": 9, "warnings": []}


def test_an_untrained_models_scores_are_those_of_prompts_with_other_shots(tmp_path: Path) -> None:
    """With one shot per label to spare, each prompt shows the other shot of every label, in the run's one order."""
    run = evaluate(
        run_config(tmp_path, prompting={"instruction": "Say which."}, inference={"icl_examples": 1, **TEMPERATURE}),
        tmp_path / "results",
    )
    pool = [TRAIN[i] for i in run.record.data["pool_row_numbers"]]
    shown = {row["text"]: [r for r in pool if r is not row and r["label"] == row["label"]] for row in pool}
    have = [shot["scores"] for shot in shots_of(run)]
    for row, scores in zip(pool, have, strict=True):
        # Of the row's own label, its one other shot is shown; of the two other labels, the first in the pool.
        firsts = [next(r for r in pool if r["label"] == label) for label in LABELS if label != row["label"]]
        examples = [*shown[row["text"]], *firsts]
        fits = []
        for i in range(3):
            for j in range(3):
                if i != j:
                    order = (examples[i], examples[j], examples[3 - i - j])
                    want = scores_of(run.record.model["base"], [prompt(order, row["text"])])[0]
                    fits.append(bool(np.abs(want - scores).max() < 1e-4))
        assert sum(fits) == 1
    assert run.record.inference["calibration"]["fitted"]["temperature"] > 0


def test_without_shots_the_in_context_examples_are_the_pool(tmp_path: Path) -> None:
    config = run_config(tmp_path, dataset={"shots": 0}, inference={"icl_examples": 2, **TEMPERATURE})
    run = evaluate(config, tmp_path / "results")
    assert len(shots_of(run)) == 6
    assert run.record.counts["label_budget"] == dict.fromkeys(LABELS, 2)


@pytest.mark.parametrize(("shots_per_label", "folds", "expected"), [(2, 5, 2), (3, 2, 2), (3, 5, 3), (6, 4, 4)])
def test_no_fold_is_scored_by_an_adapter_that_was_trained_on_it(
    shots_per_label: int, folds: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[set[str]] = []
    scored: list[set[str]] = []
    calls = spy_on_scoring(monkeypatch)
    train_adapter = model.train_adapter

    def watched(loaded: Any, adapter: Any, args: Any, sequences: Any, **more: Any) -> Any:
        learnt.append(lines([TOKENIZER.decode(sequence.ids) for sequence in sequences]))
        return train_adapter(loaded, adapter, args, sequences, **more)

    monkeypatch.setattr(model, "train_adapter", watched)
    config = run_config(
        tmp_path,
        dataset={"shots": shots_per_label},
        training={"icl_examples": 1},
        inference={"icl_examples": 1, "folds": folds, **TEMPERATURE},
    )
    run = run_experiment(config, tmp_path / "results")
    pool = {TRAIN[i]["text"] for i in run.record.data["pool_row_numbers"]}
    assert len(learnt) == len(calls) == expected + 1
    for seen, prompts in zip(learnt[:-1], calls[:-1], strict=True):
        texts = [TOKENIZER.decode(one.prompt).split("\n\n") for one in prompts]
        queries = lines([text[-1] for text in texts])
        assert not queries & seen, "an adapter saw a row that it scores"
        assert queries | seen == pool
        assert all(len(text) == 4 for text in texts), "a prompt doesn't show one example per label"
        assert all(lines(text[:-1]) <= seen for text in texts), "a prompt shows a row of its own fold"
        scored.append(queries)
    assert sorted(text for queries in scored for text in queries) == sorted(pool)
    assert learnt[-1] == pool, "the run's own adapter learns from all shots"
    assert [shot["row"] for shot in shots_of(run)] == run.record.data["pool_row_numbers"]
    scored_shots = {name: value for name, value in run.record.inference["scored_shots"].items() if name != "warnings"}
    assert scored_shots == {"method": "folds", "folds": expected, "rows": 3 * shots_per_label}


def test_a_folds_scores_are_those_of_an_adapter_trained_on_the_rest_by_hand(tmp_path: Path) -> None:
    """In full batches, so that the order of rows doesn't matter; the rest is the train split of another data set, the
    fold its test split.
    """
    trainer_args = {"per_device_train_batch_size": 8}
    config = run_config(tmp_path / "run", inference={"score_shots": True}, trainer_args=trainer_args)
    by_text = {
        shot["inputs"]["text"]: shot["scores"] for shot in shots_of(run_experiment(config, tmp_path / "results"))
    }
    pool = start(config, tmp_path / "results", trains=True).prepared.pool
    for number, part in enumerate(stratified_folds(pool, 2)):
        held_out = [TRAIN[shot.row] for shot in part]
        folder = tmp_path / f"by hand {number}"
        by_hand = tiny_run(
            folder,
            train=[TRAIN[shot.row] for shot in pool if shot not in part],
            test=held_out,
            model={"name": str(config.model.name)},
            dataset={"shots": None},
            trainer_args={**trainer_args, "output_dir": str(folder / "adapter")},
        )
        evaluated = evaluate(by_hand, folder / "results", checkpoint=str(train(by_hand).folder))
        want = [item["scores"] for item in read_items(evaluated.folder)]
        np.testing.assert_allclose([by_text[row["text"]] for row in held_out], want, atol=1e-3)


def test_scoring_the_shots_does_not_disturb_the_run(tmp_path: Path) -> None:
    dropout = {"r": 4, "lora_dropout": 0.2}
    plain = run_experiment(run_config(tmp_path, lora=dropout), tmp_path / "plain")
    scoring = run_config(tmp_path, lora=dropout, inference={"score_shots": True, "folds": 2})
    scored = run_experiment(scoring, tmp_path / "scored")
    assert shots_of(scored)
    assert not shots_of(plain)
    assert read_items(scored.folder) == read_items(plain.folder)
    assert scored.record.results == plain.record.results
    assert scored.record.training is not None
    assert plain.record.training is not None
    assert scored.record.training["loss"] == plain.record.training["loss"]


def test_one_model_is_loaded_once_for_the_run_and_its_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load_model = base_models.load_model

    def watched(*given: Any) -> Any:
        loads.append(given)
        return load_model(*given)

    monkeypatch.setattr(base_models, "load_model", watched)
    run_experiment(run_config(tmp_path, inference=TEMPERATURE), tmp_path / "results")
    assert len(loads) == 1


def test_a_folds_adapter_is_kept_nowhere_and_reported_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    trainer_config = pipeline_folds.trainer_config

    def watched(config: ExperimentConfig, output_dir: Path, *, keep_checkpoints: bool, **more: Any) -> Any:
        assert config.training is not None
        seen.append((config.training.trainer_args, output_dir, keep_checkpoints))
        return trainer_config(config, output_dir, keep_checkpoints=keep_checkpoints, **more)

    monkeypatch.setattr(pipeline_folds, "trainer_config", watched)
    output = str(tmp_path / "adapter")
    config = run_config(tmp_path, inference=TEMPERATURE, trainer_args={"output_dir": output, "report_to": "none"})
    run_experiment(config, tmp_path / "results")
    assert len(seen) == 2
    for args, folder, keeps in seen:
        assert "report_to" not in args
        assert args["max_steps"] == 4
        assert not keeps
        assert str(folder) != output
        assert not folder.exists()


def test_what_folds_warn_of_is_in_the_record_once(tmp_path: Path) -> None:
    config = run_config(tmp_path, dataset={"shots": 3}, inference={"icl_examples": 3, **TEMPERATURE})
    warnings = run_experiment(config, tmp_path / "results").record.warnings
    assert len(warnings) == len(set(warnings))
    assert [w for w in warnings if w.startswith("held-out prompts: ") and "3 asked for" in w and "neutral (2" in w]
    assert not [w for w in warnings if w.startswith("inference prompts: ")], "test prompts show all three"


def missing_model(folder: Path, **sections: Any) -> ExperimentConfig:
    """A config whose model can't be loaded, so that what is refused is refused before."""
    return run_config(folder, model={"name": "nobody/no-such-model"}, **sections)


# (sections, whether the run trains, a part of the message)
REFUSED: list[tuple[dict[str, Any], bool, str]] = [
    ({"dataset": {"shots": 0}}, False, "there are none: dataset.shots and inference.icl_examples are 0"),
    ({"dataset": {"shots": 0}}, True, "there are none"),
    ({"dataset": {"shots": 1}}, True, "the label 'negative' has 1 shot"),
]


@pytest.mark.parametrize("method", ["temperature", "batch_adjustable"])
@pytest.mark.parametrize(("sections", "trains", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_learning_from_labels_is_refused_where_there_are_none_to_learn_from(
    sections: dict[str, Any], trains: bool, message: str, method: str, tmp_path: Path
) -> None:
    config = missing_model(tmp_path, inference={"calibration": {"method": method}}, **sections)
    with pytest.raises(SftError, match=f"'{method}' learns from labelled rows, and {message}") as caught:
        (run_experiment if trains else evaluate)(config, tmp_path / "results")
    assert caught.value.hint
    if not trains:
        with pytest.raises(SftError, match=message):
            predict(config, tmp_path / "predictions.tsv")


def test_one_shot_per_label_serves_a_model_that_is_not_trained(tmp_path: Path) -> None:
    config = run_config(tmp_path, dataset={"shots": 1}, inference=TEMPERATURE)
    assert len(shots_of(evaluate(config, tmp_path / "results"))) == 3


@pytest.mark.parametrize("shots_per_label", [0, 1])
def test_shots_without_the_in_context_examples_of_test_rows_are_told_once(shots_per_label: int, tmp_path: Path) -> None:
    """All of the pool is shown to test rows, which leaves nothing to show to a shot."""
    config = run_config(tmp_path, dataset={"shots": shots_per_label}, inference={"icl_examples": 1, **TEMPERATURE})
    record = evaluate(config, tmp_path / "results").record
    (warning,) = [w for w in record.warnings if "in-context" in w]
    assert warning.startswith("the shots are scored without in-context examples of negative, neutral, positive, ")
    assert record.inference["scored_shots"]["warnings"] == [warning]


def test_an_adapter_of_which_nobody_knows_what_it_saw_is_refused(tmp_path: Path) -> None:
    config = run_config(tmp_path, inference=TEMPERATURE, trainer_args={"output_dir": str(tmp_path / "adapter")})
    folder = str(train(config).folder)
    named = config.model_copy(update={"model": config.model.model_copy(update={"name": folder})})
    for attempt in (
        lambda: evaluate(config, tmp_path / "results", checkpoint=folder),
        lambda: evaluate(named, tmp_path / "results"),
        lambda: predict(config, tmp_path / "predictions.tsv", checkpoint=folder),
    ):
        with pytest.raises(SftError, match=r"it can't be known which rows .* was trained on") as caught:
            attempt()
        assert "run-experiment" in (caught.value.hint or "")


def test_a_wish_that_cannot_be_granted_is_warned_about(tmp_path: Path) -> None:
    """A sweep over shots may ask all of its runs for scores of the shots, the one without shots too."""
    config = run_config(tmp_path, dataset={"shots": 0}, inference={"score_shots": True})
    run = evaluate(config, tmp_path / "results")
    assert [w for w in run.record.warnings if w.startswith("inference.score_shots has no effect: there are none")]
    assert shots_of(run) == []
    assert "scored_shots" not in run.record.inference
