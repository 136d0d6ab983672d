"""Two processes over gloo, as `torchrun` starts them, do what one does with batches of twice the size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from sft.config.load import load_config
from sft.pipeline.endpoints import evaluate
from sft.records import read_items, read_support
from tests.conftest import REPOSITORY
from tests.fakes import LABELS, config_value, write_config, write_dataset
from tests.tiny_models import save_tiny_model
from tests.two_processes import EXPERIMENTS, make_runs

# Seven shots for each of three labels: steps of four rows, and in every epoch a last one of a single row.
SHOTS, ROWS_OF_STEP = 7, 4
TOLERANCE = 1e-4


def torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240
    )


def rows(count: int, prefix: str) -> list[dict[str, str]]:
    """Of different lengths, so that batches are padded differently."""
    return [
        {"text": f"{prefix} {'so ' * (5 * i % 7)}{i} is {label}", "label": label}
        for i in range(count)
        for label in LABELS
    ]


def write_configs(folder: Path, base: Path, batch: int) -> None:
    """What `make_runs` reads. batch: rows of each process in a step."""
    folder.mkdir()

    def write(name: str, steps: int, batches: str, **sections: Any) -> None:
        args = {"max_steps": steps, "learning_rate": 0.02, "logging_steps": 1, "save_steps": 4}
        args |= {"output_dir": str(folder / name), "per_device_train_batch_size": batch, **sections.pop("args", {})}
        training = {"trainer_args": args, "batches": batches, **sections.pop("training", {})}
        values = config_value(
            dataset={"path": str(base / "data"), "shots": SHOTS, **sections.pop("dataset", {})},
            model={"name": str(base / "model")},
            lora={"r": 4, "target_modules": "all-linear"},
            training=training,
            **sections,
        )
        write_config(folder / f"{name}.json", values)

    write("flat", 8, "flat")
    write("labels", 8, "auto", training={"objective": "tfew"})
    write("folds", 2, "auto", inference={"calibration": {"method": "temperature"}, "folds": 2})
    sampled = {"generation_args": {"max_new_tokens": 4, "do_sample": True}}
    write("generated", 1, "auto", dataset={"task_type": "generation"}, inference=sampled)
    halves = {"per_device_train_batch_size": batch // 2, "gradient_accumulation_steps": 2}
    write("trained", 8, "padded", args=halves)
    write("resumed", 8, "padded", args=halves)


class Made(NamedTuple):
    """By one process and by two: the folder, what each process got of the runs in it, and what the two printed."""

    one: Path
    two: Path
    by_one: dict[str, Any]
    by_two: list[dict[str, Any]]
    printed: str

    def run(self, name: str) -> tuple[Path, Path]:
        """The folders of a run."""
        first, second = ([path.parent for path in (x / "results" / name).glob("*/record.json")] for x in self[:2])
        assert len(first) == len(second) == 1
        return first[0], second[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    save_tiny_model(folder / "model")
    write_dataset(folder / "data", rows(9, "known"), rows(5, "unseen"))
    return folder


@pytest.fixture(scope="module")
def made(base: Path) -> Made:
    one, two = base / "one", base / "two"
    write_configs(one, base, ROWS_OF_STEP)
    write_configs(two, base, ROWS_OF_STEP // 2)
    by_one = make_runs(one)
    evaluate(load_config(one / "trained.json"), one / "results/evaluated", checkpoint=str(one / "trained"))
    done = torchrun("tests.two_processes", two)
    assert done.returncode == 0, done.stderr
    by_two = [json.loads((two / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    return Made(one, two, by_one, by_two, done.stdout)


def assert_same_curve(one: list[dict[str, float]], two: list[dict[str, float]]) -> None:
    assert any("loss" in entry for entry in one)
    for name in ("loss", "grad_norm", "learning_rate", "mean_token_accuracy", "entropy"):
        curves = [[entry[name] for entry in log if name in entry] for log in (one, two)]
        assert len(curves[0]) == len(curves[1])
        np.testing.assert_allclose(curves[0], curves[1], rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("name", ["flat", "labels", "folds"])
def test_the_loss_curve_is_that_of_one_process_with_the_same_effective_batch(made: Made, name: str) -> None:
    one, two = made.by_one[name]["training"], made.by_two[0][name]["training"]
    assert_same_curve(one["log"], two["log"])
    assert abs(one["loss"] - two["loss"]) < TOLERANCE
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["effective_batch_size"] == two["effective_batch_size"] == ROWS_OF_STEP
    assert (one["steps"], one["epochs"]) == (two["steps"], two["epochs"])


def test_accumulated_padded_batches_and_a_resumed_training_give_it_too(made: Made) -> None:
    assert_same_curve(made.by_one["trained"], made.by_two[0]["trained"])
    assert_same_curve(made.by_one["trained"], made.by_two[0]["resumed"])
    assert len(made.by_two[0]["trained"]) == 9
    assert made.by_one["padding"] > 0.0
    assert [seen["padding"] for seen in made.by_two] == [0.0, 0.0], "each process has one row at a time"


@pytest.mark.parametrize("name", ["flat", "folds", "evaluated"])
def test_scores_are_those_of_one_process_row_by_row(made: Made, name: str) -> None:
    one, two = made.run(name)
    # Adapters of two trainings differ by rounding, which a few steps make larger.
    for read in (read_items, read_support):
        expected, found = read(one), read(two)
        assert len(expected) == len(found) > 1
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(a.pop("scores"), b.pop("scores"), rtol=0, atol=1e-3)
            np.testing.assert_allclose(a.pop("probabilities", 0), b.pop("probabilities", 0), rtol=0, atol=1e-3)
            assert a == b
    results = [json.loads((folder / "record.json").read_text())["results"] for folder in (one, two)]
    assert results[0]["accuracy"] == results[1]["accuracy"]
    assert results[0]["nll"] == pytest.approx(results[1]["nll"], abs=1e-3)


def test_sampled_texts_are_those_of_one_process(made: Made) -> None:
    one, two = (read_items(folder) for folder in made.run("generated"))
    assert one == two
    assert len({item["generated"] for item in one}) > 5, "different rows have different texts"


def test_predictions_are_those_of_one_process(made: Made) -> None:
    one, two = (pd.read_csv(folder / "predicted.tsv", sep="\t") for folder in made[:2])
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-3)
    assert len(one) == 5 * len(LABELS)


def test_every_process_gets_what_the_first_recorded(made: Made) -> None:
    first, second = made.by_two
    for name in EXPERIMENTS:
        assert first[name] == second[name]
        assert first[name] == json.loads((made.run(name)[1] / "record.json").read_text())


def test_a_training_of_several_processes_is_another_run_that_no_sweep_takes_for_its_own(made: Made) -> None:
    one, two = made.by_one["flat"], made.by_two[0]["flat"]
    assert one["run_id"] != two["run_id"]
    assert (one["plan_id"] is None, two["plan_id"]) == (False, None)
    assert two["environment"]["processes"] == 2


def test_nothing_but_the_run_is_left_behind(made: Made) -> None:
    for name in ("flat", "folds", "evaluated"):
        one, two = ({path.name for path in folder.iterdir()} for folder in made.run(name))
        assert one == two == {"record.json", "items.jsonl", "support.jsonl", "run.log"}
    assert not list(made.two.glob(".*"))


def test_processes_talk_to_each_other(made: Made) -> None:
    first, second = made.by_two
    assert first["gathered"] == second["gathered"] == [0, 1]
    assert first["decided"] == second["decided"] == 0
    assert (first["failure"], second["failure"]) == ("raised", "told: 'unheard of'")
    assert first["same_tensors"] == second["same_tensors"]
    assert first["whole"] is second["whole"] is True


def test_the_first_process_alone_prints(made: Made) -> None:
    assert made.printed.splitlines()[-1] == str(made.run("evaluated")[1] / "record.json")
    assert [line.split("\t")[0] for line in made.printed.splitlines()].count("accuracy") == 1


def test_one_message_ends_all_processes(base: Path) -> None:
    untrained = config_value(dataset={"path": str(base / "data")}, model={"name": str(base / "model")})
    config, results = write_config(base / "untrained.json", untrained), base / "failed"
    failed = torchrun("sft.cli", "evaluate", config, "--results-path", results, "--import", "tests.fails_in_second")
    assert failed.returncode != 0
    said = [line for line in failed.stderr.splitlines() if "error:" in line]
    assert said == ["error: out of luck in the second process"]
    assert failed.stdout == ""
    assert not list(results.glob("*/record.json"))
