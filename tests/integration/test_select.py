"""`training.select`: arguments of the training chosen by cross-validation inside the shots, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.schema import ExperimentConfig
from sft.data.folds import stratified_folds
from sft.errors import ConfigError, SftError, TrainingError
from sft.pipeline import folds as pipeline_folds
from sft.pipeline import model, select
from sft.pipeline.endpoints import Run, evaluate, run_experiment, start, train
from sft.records import read_items
from tests.fakes import LABELS, byte_tokenizer, labelled_rows
from tests.scorer_spy import spy_on_scoring
from tests.tiny_runs import tiny_run

TRAIN = labelled_rows(6)
TEST = labelled_rows(2, prefix="unseen ")
RATES = {"learning_rate": [1e-5, 0.02]}
TOKENIZER = byte_tokenizer()


def run_config(folder: Path, select: dict[str, Any], **sections: Any) -> ExperimentConfig:
    """A tiny run that selects; `trainer_args` of it lack what is selected."""
    args = {"per_device_train_batch_size": 8, **sections.pop("trainer_args", {})}
    training = {"select": {"folds": 2, **select}, "trainer_args": {"max_steps": 4, **args}}
    training["trainer_args"] = {k: v for k, v in training["trainer_args"].items() if k not in select["grid"]}
    training |= sections.pop("training", {})
    dataset = {"shots": 2, **sections.pop("dataset", {})}
    rows = {"train": sections.pop("train", TRAIN), "test": sections.pop("test", TEST)}
    return tiny_run(folder, **rows, dataset=dataset, training=training, **sections)


def selection_of(run: Run) -> dict[str, Any]:
    assert run.record.training is not None
    selection: dict[str, Any] = run.record.training["selection"]
    return selection


def without_seconds(selection: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in selection.items() if name != "seconds"}


def log_softmax(scores: Sequence[float]) -> Any:
    return np.array(scores) - np.log(np.sum(np.exp(scores)))


def test_the_table_is_that_of_trainings_on_the_rest_by_hand(tmp_path: Path) -> None:
    """The rest is the train split of another data set, the fold its test split; the best mean is chosen."""
    config = run_config(tmp_path / "run", {"grid": RATES})
    run = run_experiment(config, tmp_path / "results")
    pool = start(config, tmp_path / "results", trains=True).prepared.pool
    want: list[list[float]] = []
    for rate in RATES["learning_rate"]:
        want.append([])
        for number, part in enumerate(stratified_folds(pool, 2)):
            folder = tmp_path / f"by hand {rate} {number}"
            held_out = [TRAIN[shot.row] for shot in part]
            by_hand = tiny_run(
                folder,
                train=[TRAIN[shot.row] for shot in pool if shot not in part],
                test=held_out,
                model={"name": str(config.model.name)},
                dataset={"shots": None},
                trainer_args={"per_device_train_batch_size": 8, "learning_rate": rate},
            )
            items = read_items(run_experiment(by_hand, folder / "results").folder)
            right = [LABELS.index(row["label"]) for row in held_out]
            losses = [-log_softmax(item["scores"])[i] for item, i in zip(items, right, strict=True)]
            want[-1].append(float(np.mean(losses)))
    selection = selection_of(run)
    np.testing.assert_allclose([point["fold_scores"] for point in selection["points"]], want, atol=1e-4)
    means = np.mean(want, axis=1)
    np.testing.assert_allclose([point["mean"] for point in selection["points"]], means, atol=1e-4)
    best = RATES["learning_rate"][int(means.argmin())]
    assert selection["chosen"] == {"learning_rate": best}
    assert [point["values"] for point in selection["points"] if point["chosen"]] == [selection["chosen"]]


def test_the_run_is_the_one_that_was_given_the_chosen_values(tmp_path: Path) -> None:
    run = run_experiment(run_config(tmp_path, {"grid": RATES}, lora={"r": 4, "lora_dropout": 0.2}), tmp_path / "a")
    plain = tiny_run(
        tmp_path,
        train=TRAIN,
        test=TEST,
        dataset={"shots": 2},
        lora={"r": 4, "lora_dropout": 0.2},
        trainer_args={"per_device_train_batch_size": 8, **selection_of(run)["chosen"]},
    )
    given = run_experiment(plain, tmp_path / "b")
    assert read_items(run.folder) == read_items(given.folder)
    assert run.record.run_id != given.record.run_id
    assert run.record.counts["label_budget"] == given.record.counts["label_budget"] == dict.fromkeys(LABELS, 2)
    assert run.record.training is not None
    assert given.record.training is not None
    assert run.record.training["loss"] == given.record.training["loss"]


def test_no_fold_is_scored_by_a_model_that_saw_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a row of it shown in context, where there are in-context examples."""
    learnt: list[str] = []
    calls = spy_on_scoring(monkeypatch)
    train_adapter = model.train_adapter

    def watched(loaded: Any, adapter: Any, args: Any, sequences: Any, **more: Any) -> Any:
        learnt.append("".join(TOKENIZER.decode(sequence.ids) for sequence in sequences))
        return train_adapter(loaded, adapter, args, sequences, **more)

    monkeypatch.setattr(model, "train_adapter", watched)
    config = run_config(
        tmp_path,
        {"grid": RATES, "folds": 3},
        dataset={"shots": 3},
        training={"icl_examples": 1},
        inference={"icl_examples": 1},
    )
    run = run_experiment(config, tmp_path / "results")
    pool = [TRAIN[i]["text"] for i in run.record.data["pool_row_numbers"]]
    assert len(learnt) == len(calls) == 2 * 3 + 1
    for text, prompts in zip(learnt[:-1], calls[:-1], strict=True):
        queries = {TOKENIZER.decode(one.prompt).rpartition("Text: ")[2].partition("\n")[0] for one in prompts}
        shown = "".join(TOKENIZER.decode(one.prompt).rpartition("Text: ")[0] for one in prompts)
        assert len(queries) == 3
        assert queries <= set(pool)
        assert not [query for query in queries if f"{query}\n" in text], "a model learnt what it is judged on"
        assert not [query for query in queries if f"{query}\n" in shown], "a prompt shows what is to be told"
        assert all(TOKENIZER.decode(one.prompt).count("Text: ") == 4 for one in prompts)
    assert all(f"{text}\n" in learnt[-1] for text in pool), "the run's own adapter learns from all shots"


def test_no_test_label_matters(tmp_path: Path) -> None:
    """With every test label wrong, the selection is the same."""
    poisoned = [{**row, "label": LABELS[(LABELS.index(row["label"]) + 1) % 3]} for row in TEST]
    honest, other = (
        run_experiment(run_config(tmp_path / name, {"grid": RATES}, test=rows), tmp_path / "results")
        for name, rows in (("honest", TEST), ("poisoned", poisoned))
    )
    assert honest.record.results["nll"] != other.record.results["nll"]
    assert without_seconds(selection_of(honest)) == without_seconds(selection_of(other))


def test_the_same_seed_selects_the_same_and_another_one_from_other_shots(tmp_path: Path) -> None:
    runs = [
        run_experiment(run_config(tmp_path, {"grid": RATES}, seed=seed), tmp_path / str(i))
        for i, seed in enumerate((13, 13, 14))
    ]
    same, again, other = (without_seconds(selection_of(run)) for run in runs)
    assert same == again
    assert same["points"] != other["points"]
    assert runs[0].record.run_id == runs[1].record.run_id


@pytest.mark.parametrize("metric", ["nll", "accuracy"])
def test_the_metric_is_what_is_compared(metric: str, tmp_path: Path) -> None:
    selection = selection_of(
        run_experiment(run_config(tmp_path, {"grid": RATES, "metric": metric}), tmp_path / "results")
    )
    means = [point["mean"] for point in selection["points"]]
    assert selection["metric"] == metric
    best = max(means) if metric == "accuracy" else min(means)
    (chosen,) = (point for point in selection["points"] if point["chosen"])
    assert chosen["mean"] == best
    if metric == "accuracy":
        scores = [score for point in selection["points"] for score in point["fold_scores"]]
        assert all(score * 3 == pytest.approx(round(score * 3)) for score in scores), "three rows are held out"


def test_references_are_judged_by_their_loss_per_token(tmp_path: Path) -> None:
    """Which is the loss that training reports of the same rows, before its first step."""
    rows = [{"text": f"message {i}", "label": "abc" * (i + 1)} for i in range(4)]
    task = {"dataset": {"task_type": "generation", "shots": 4}, "prompting": {"instruction": "Say."}}
    config = run_config(
        tmp_path / "run",
        {"grid": {"learning_rate": [0.0]}},
        train=rows,
        test=rows[:1],
        trainer_args={"max_steps": 1, "logging_steps": 1},
        inference={"generation_args": {"max_new_tokens": 2}},
        **{**task, "dataset": {**task["dataset"], "deduplicate": False}},
    )
    selection = selection_of(run_experiment(config, tmp_path / "results"))
    pool = start(config, tmp_path / "results", trains=True).prepared.pool
    for number, part in enumerate(stratified_folds(pool, 2)):
        by_hand = tiny_run(
            tmp_path / str(number),
            train=[rows[shot.row] for shot in part],
            test=rows[:1],
            model={"name": str(config.model.name)},
            trainer_args={"per_device_train_batch_size": 8, "max_steps": 1, "learning_rate": 0.0},
            inference={"generation_args": {"max_new_tokens": 2}},
            **{**task, "dataset": {"task_type": "generation", "shots": None, "deduplicate": False}},
        )
        record = run_experiment(by_hand, tmp_path / "results").record
        assert record.training is not None
        assert selection["points"][0]["fold_scores"][number] == pytest.approx(record.training["loss"], abs=1e-4)


def test_a_point_that_diverges_is_not_chosen_and_not_tried_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    trained_without = select.trained_without

    def watched(prepared: Any, *given: Any) -> Any:
        tried.append(prepared.config.training.trainer_args["learning_rate"])
        return trained_without(prepared, *given)

    monkeypatch.setattr(select, "trained_without", watched)
    config = run_config(tmp_path, {"grid": {"learning_rate": [1e38, 0.02]}}, trainer_args={"max_grad_norm": 0.0})
    selection = selection_of(run_experiment(config, tmp_path / "results"))
    assert selection["chosen"] == {"learning_rate": 0.02}
    assert selection["points"][0]["fold_scores"] == [None]
    assert selection["points"][0]["mean"] is None
    assert tried == [1e38, 0.02, 0.02]


def test_where_every_point_diverges_the_run_fails_with_a_reason(tmp_path: Path) -> None:
    config = run_config(tmp_path, {"grid": {"learning_rate": [1e38]}}, trainer_args={"max_grad_norm": 0.0})
    with pytest.raises(TrainingError, match="diverged at every point"):
        run_experiment(config, tmp_path / "results")


@pytest.mark.parametrize("finished", [1, 3])
def test_a_run_that_was_killed_goes_on_where_it_was(
    finished: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run_config(tmp_path, {"grid": RATES})
    whole = run_experiment(config, tmp_path / "whole")
    trained_without = pipeline_folds.trained_without
    calls = 0

    def killed(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > finished:
            raise KeyboardInterrupt
        return trained_without(*given)

    monkeypatch.setattr(select, "trained_without", killed)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, tmp_path / "results")
    (file,) = (tmp_path / "results").glob("*/unfinished/selection/selection.jsonl")
    assert len(file.read_text(encoding="utf-8").splitlines()) == finished
    monkeypatch.setattr(select, "trained_without", lambda *given: (before.append(1), trained_without(*given))[1])
    before: list[int] = []
    again = run_experiment(config, tmp_path / "results")
    assert len(before) == 4 - finished
    assert without_seconds(selection_of(again)) == without_seconds(selection_of(whole))
    assert read_items(again.folder) == read_items(whole.folder)
    assert not file.exists(), "the record holds the table"


def test_results_of_another_run_are_not_taken_for_its_own(tmp_path: Path) -> None:
    """`train` may be told to write into a folder that another training filled."""
    folder = tmp_path / "adapter"
    config = run_config(tmp_path, {"grid": RATES}, trainer_args={"output_dir": str(folder)})
    chosen = train(config).chosen
    (folder / "selection.jsonl").write_text(
        json.dumps(
            {"run_id": "another", "result": {"values": {"learning_rate": 1e-5}, "fold": 0, "score": -9.0, "epochs": 1.0,
             "seconds": 0.0}}
        ) + "\n", encoding="utf-8",
    )  # fmt: skip
    trained = train(config)
    assert trained.chosen == chosen
    table = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
    assert table["chosen"] == chosen
    assert not (folder / "selection.jsonl").exists()


def test_train_and_evaluate_give_what_one_run_gives(tmp_path: Path) -> None:
    config = run_config(tmp_path, {"grid": RATES}, trainer_args={"output_dir": str(tmp_path / "adapter")})
    trained = train(config)
    apart = evaluate(config, tmp_path / "apart", checkpoint=str(trained.folder))
    config = run_config(tmp_path, {"grid": RATES})
    one = run_experiment(config, tmp_path / "one")
    assert trained.chosen == selection_of(one)["chosen"]
    for have, want in zip(read_items(apart.folder), read_items(one.folder), strict=True):
        np.testing.assert_allclose(have["scores"], want["scores"], atol=1e-4)


def test_folds_for_calibration_are_trained_with_the_chosen_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    trainer_config = pipeline_folds.trainer_config

    def watched(config: ExperimentConfig, *given: Any, **named: Any) -> Any:
        assert config.training is not None
        rates.append(config.training.trainer_args["learning_rate"])
        return trainer_config(config, *given, **named)

    monkeypatch.setattr(pipeline_folds, "trainer_config", watched)
    config = run_config(tmp_path, {"grid": RATES}, inference={"calibration": {"method": "temperature"}})
    run = run_experiment(config, tmp_path / "results")
    assert rates == [1e-5, 1e-5, 0.02, 0.02] + [selection_of(run)["chosen"]["learning_rate"]] * 2


def test_warnings_of_the_folds_are_told_with_the_selection_only(tmp_path: Path) -> None:
    """With 3 in-context examples, the folds' rests have fewer."""
    config = run_config(tmp_path, {"grid": RATES, "folds": 3}, dataset={"shots": 3}, inference={"icl_examples": 3})
    run = run_experiment(config, tmp_path / "results")
    (warning,) = selection_of(run)["warnings"]
    assert "held-out prompts: fewer in-context examples" in warning
    assert not [w for w in run.record.warnings if "held-out" in w]


def test_fewer_shots_than_folds_make_fewer_folds_with_a_warning(tmp_path: Path) -> None:
    run = run_experiment(run_config(tmp_path, {"grid": RATES, "folds": 5}), tmp_path / "results")
    assert selection_of(run)["folds"] == 2
    assert [w for w in run.record.warnings if "training.select.folds is 5, and there are shots for 2" in w]


def test_without_shots_nothing_is_selected(tmp_path: Path) -> None:
    run = run_experiment(run_config(tmp_path, {"grid": RATES}, dataset={"shots": 0}), tmp_path / "results")
    assert run.record.training is None


def missing_model(folder: Path, select: dict[str, Any], **sections: Any) -> ExperimentConfig:
    """A config whose model can't be loaded, so that what is refused is refused before."""
    return run_config(folder, select, model={"name": "nobody/no-such-model"}, **sections)


def test_one_shot_per_label_is_refused(tmp_path: Path) -> None:
    config = missing_model(tmp_path, {"grid": RATES}, dataset={"shots": 1})
    with pytest.raises(TrainingError, match="the label 'negative' has 1 shot") as caught:
        run_experiment(config, tmp_path / "results")
    assert "raise dataset.shots" in (caught.value.hint or "")


def test_one_row_to_generate_from_is_refused(tmp_path: Path) -> None:
    config = missing_model(tmp_path, {"grid": RATES}, dataset={"task_type": "generation", "shots": 1})
    with pytest.raises(TrainingError, match="there is 1 row to train on"):
        run_experiment(config, tmp_path / "results")


# (the grid, its key that is wrong, a part of the message)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"learning_rate": [0.1, "fast"]}, "learning_rate", "must be float, got 'fast'"),
    ({"learning_rate": [0.1, -0.1]}, "learning_rate", "must be at least 0, got -0.1"),
    ({"num_train_epochs": [1, 0]}, "num_train_epochs", "must be above 0, got 0"),
    ({"pad_token": ["a", "b"]}, "pad_token", "has no effect"),
    ({"optim": ["adamw_torch", "no-such-optimizer"]}, "", "TRL refuses them"),
]


@pytest.mark.parametrize(("grid", "name", "message"), REFUSED, ids=[f"{n}: {m}" for _, n, m in REFUSED])
def test_values_of_wrong_types_are_refused_before_any_model_is_loaded(
    grid: dict[str, Any], name: str, message: str, tmp_path: Path
) -> None:
    config = missing_model(tmp_path, {"grid": grid}, trainer_args={"max_steps": -1})
    with pytest.raises(ConfigError) as caught:
        run_experiment(config, tmp_path / "results")
    (problem,) = caught.value.problems
    assert problem.key == f"training.select.grid.{name}".rstrip(".")
    assert message in problem.message


def test_a_missing_model_is_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    """The refusals above come first because nothing is wrong before."""
    with pytest.raises(SftError, match="no-such-model"):
        run_experiment(missing_model(tmp_path, {"grid": RATES}), tmp_path / "results")
