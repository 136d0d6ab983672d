"""`sft results calibrate`: from stored scores, the record that a run with that calibration would have left."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.api import Recalibration, calibrate_results
from sft.calibration import calibration_registry
from sft.calibration.normalization import normalization_registry
from sft.calibration.scored import MissingScores
from sft.config.schema import ExperimentConfig
from sft.errors import ConfigError, SftError
from sft.experiments.failure import write_failure
from sft.pipeline.endpoints import Run, evaluate, run_experiment, train
from sft.records import read_items, read_record, read_support, write_items
from sft.reporting.table import report_table
from tests.fakes import labelled_rows, write_jsonl
from tests.tiny_runs import tiny_run
from tests.unit.config.test_light_imports import modules_after

TRAIN = labelled_rows(5)
TEST = labelled_rows(3, prefix="unseen ")
# What isn't decided by config and scores.
OF_THE_MOMENT = {"timings", "started_at", "finished_at", "inputs", "resources"}


def config_of(folder: Path, **inference: Any) -> ExperimentConfig:
    sections = {name: inference.pop(name) for name in ("trainer_args", "prompting") if name in inference}
    inference = {"icl_examples": 1, "score_shots": True, **inference}
    return tiny_run(folder, train=TRAIN, test=TEST, dataset={"shots": 2}, inference=inference, **sections)


def calibrated(run: Run, method: str, **options: Any) -> Recalibration:
    return calibrate_results([run.folder], [method], **options)


def check_same(folder: Path, fresh: Run, origin: Run) -> None:
    """A recalibrated record against that of a fresh run."""
    have, want = read_record(folder), fresh.record
    assert folder.name == fresh.folder.name
    for field in dataclasses.fields(want):
        if field.name not in OF_THE_MOMENT | {"inference", "training"}:
            assert getattr(have, field.name) == getattr(want, field.name), field.name
    assert have.training == origin.record.training
    assert (have.training or {}).get("loss") == (want.training or {}).get("loss")
    assert have.inference == {**want.inference, "scores_of": origin.record.run_id}
    new, old = read_items(folder), read_items(fresh.folder)
    probabilities = [[item.pop("probabilities") for item in items] for items in (new, old)]
    assert new == old
    np.testing.assert_allclose(*probabilities, atol=1e-6)
    assert read_support(folder) == read_support(fresh.folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of model and data that all runs share."""
    return tmp_path_factory.mktemp("recalibration")


@pytest.fixture(scope="module")
def source(home: Path) -> Run:
    """A finished run without calibration that has scored its shots."""
    return evaluate(config_of(home), home / "results")


CHOICES: list[tuple[str, dict[str, Any], str]] = [
    *((method, {}, "none") for method in calibration_registry),
    *(("contextual", {}, name) for name in normalization_registry if name != "none"),
    *(("none", {}, name) for name in normalization_registry if name != "none"),
    ("batch", {"space": "probability"}, "tokens"),
    ("domain", {"samples": 3}, "pmi"),
    ("temperature", {"highest": 5}, "calibrated_tokens"),
]


@pytest.mark.parametrize(("method", "args", "normalization"), CHOICES, ids=str)
def test_the_record_is_that_of_a_fresh_run(
    method: str, args: dict[str, Any], normalization: str, source: Run, home: Path, tmp_path: Path
) -> None:
    calibration = {} if method == "none" else {"calibration": {"method": method, "args": args}}
    fresh = evaluate(config_of(home, score_normalization=normalization, **calibration), tmp_path / "fresh")
    done = calibrated(source, method, args=args or None, normalizations=[normalization], results_path=tmp_path / "new")
    (folder,) = done.folders
    assert folder.parent == tmp_path / "new"
    check_same(folder, fresh, source)


@pytest.mark.parametrize("method", ["temperature", "batch"])
def test_the_record_of_a_trained_run_is_that_of_a_fresh_one(method: str, home: Path, tmp_path: Path) -> None:
    first = run_experiment(config_of(home), tmp_path / "results")
    fresh = run_experiment(config_of(home, calibration={"method": method}), tmp_path / "fresh")
    check_same(calibrated(first, method).folders[0], fresh, first)


def test_the_record_of_an_evaluated_adapter_is_that_of_a_fresh_run(home: Path, tmp_path: Path) -> None:
    trainer_args = {"output_dir": str(tmp_path / "adapter")}
    plain = config_of(home, trainer_args=trainer_args, score_shots=False)
    adapter = str(train(plain).folder)
    first = evaluate(plain, tmp_path / "results", checkpoint=adapter)
    domain = config_of(home, trainer_args=trainer_args, score_shots=False, calibration={"method": "domain"})
    fresh = evaluate(domain, tmp_path / "fresh", checkpoint=adapter)
    check_same(calibrated(first, "domain").folders[0], fresh, first)


def test_scores_after_a_file_serve_other_calibrations_on_it(home: Path, tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "more.jsonl", [{"text": f"more {i}"} for i in range(4)]))
    args = {"estimate_on": "unlabelled", "unlabelled_path": path}
    first = evaluate(config_of(home, calibration={"method": "batch", "args": args}), tmp_path / "results")
    adjustable = {"method": "batch_adjustable", "args": args}
    fresh = evaluate(config_of(home, calibration=adjustable), tmp_path / "fresh")
    check_same(calibrated(first, "batch_adjustable", args=args).folders[0], fresh, first)
    with pytest.raises(MissingScores, match=r"no scores of the inputs of 'other\.jsonl'"):
        calibrated(first, "batch", args={**args, "unlabelled_path": "other.jsonl"})


def test_test_rows_in_a_file_are_told_by_runs_and_by_what_is_made_of_them(home: Path, tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "more.jsonl", [*TEST[:4], {"text": "other"}]))
    args = {"estimate_on": "unlabelled", "unlabelled_path": path}
    first = evaluate(config_of(home, calibration={"method": "batch", "args": args}), tmp_path / "results")
    assert first.record.inference["calibration"]["transductive"] is True
    assert [w for w in first.record.warnings if f"4 of 5 rows of {path!r} have the inputs of test rows" in w]
    adjustable = evaluate(config_of(home, calibration={"method": "batch_adjustable", "args": args}), tmp_path / "fresh")
    check_same(calibrated(first, "batch_adjustable", args=args).folders[0], adjustable, first)
    done = calibrated(first, "domain")
    assert done.records[0].warnings == []
    assert [note for note in done.table.notes if "(batch)" in note]


def test_priors_per_prompt_serve_where_they_were_scored(home: Path, source: Run, tmp_path: Path) -> None:
    args = {"prior": "per_prompt"}
    prompting = {"icl_sampling": "per_prompt"}
    calibration = {"method": "contextual", "args": args}
    first = evaluate(config_of(home, calibration=calibration, prompting=prompting), tmp_path / "results")
    tokens = config_of(home, calibration=calibration, prompting=prompting, score_normalization="tokens")
    fresh = evaluate(tokens, tmp_path / "fresh")
    done = calibrated(first, "contextual", args=args, normalizations=["tokens"])
    check_same(done.folders[0], fresh, first)
    with pytest.raises(MissingScores, match="after every test row's own in-context examples"):
        calibrated(source, "contextual", args=args)


def test_all_methods_are_applied_beside_the_run_and_shown_in_one_table(source: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source.folder, tmp_path / "results" / source.folder.name))
    done = calibrate_results([tmp_path / "results"], ["all"], normalizations=["none", "bytes"])
    names = list(calibration_registry)
    made = [
        (r.config["inference"]["score_normalization"], r.config["inference"]["calibration"]["method"])
        for r in done.records
    ]
    assert sorted(made) == sorted((kind, name) for name in names for kind in ("none", "bytes"))
    assert {path.parent for path in done.folders} == {folder.parent}
    assert done.notes == []
    assert len(done.table.configurations) == 2 * len(names) + 1
    assert {"normalization", "calibration"} <= set(done.table.varying)
    assert [note for note in done.table.notes if "(batch, batch_adjustable)" in note]


NARROW = {"method": "temperature", "args": {"lowest": 5, "highest": 6}}


@pytest.mark.parametrize("run_it", [evaluate, run_experiment])
def test_a_record_holds_the_warnings_of_its_own_calibration_only(
    run_it: Callable[..., Run], home: Path, tmp_path: Path
) -> None:
    """The origin warns of its fit, and of the prompts of the shots, which a run without such a fit doesn't score."""

    def fresh(calibration: dict[str, Any]) -> list[str]:
        config = config_of(home, icl_examples=2, score_shots=False, calibration=calibration)
        return sorted(run_it(config, tmp_path / calibration["method"]).record.warnings)

    def made(folder: Path, calibration: dict[str, Any], target: str) -> Path:
        args = calibration.get("args")
        done = calibrate_results([folder], [calibration["method"]], args=args, results_path=tmp_path / target)
        return done.folders[0]

    config = config_of(home, icl_examples=2, score_shots=False, calibration=NARROW)
    first = run_it(config, tmp_path / "results")
    bound = [warning for warning in first.record.warnings if "which is a bound" in warning]
    of_shots = first.record.inference["scored_shots"]["warnings"]
    assert first.record.inference["calibration"]["warnings"] == bound
    assert len(bound) == 1
    assert of_shots
    assert set(of_shots) < set(first.record.warnings)
    domain = made(first.folder, {"method": "domain"}, "domain made")
    assert sorted(read_record(domain).warnings) == fresh({"method": "domain"})
    wide = made(domain, {"method": "temperature"}, "wide made")
    assert sorted(read_record(wide).warnings) == fresh({"method": "temperature"})
    back = made(domain, NARROW, "back")
    assert sorted(read_record(back).warnings) == sorted(first.record.warnings)


def test_what_is_there_already_is_kept_and_told(source: Run, tmp_path: Path) -> None:
    first = calibrated(source, "batch", results_path=tmp_path)
    path = first.folders[0] / "record.json"
    before = path.read_bytes()
    again = calibrated(source, "batch", results_path=tmp_path)
    assert again.records == []
    assert again.notes == [f"{first.folders[0].name} is there already"]
    assert path.read_bytes() == before
    assert len(again.table.configurations) == 2, "it is in the table"


def test_the_runs_own_calibration_is_there_already(source: Run, tmp_path: Path) -> None:
    done = calibrated(source, "none", results_path=tmp_path)
    assert done.records == []
    assert not list(tmp_path.iterdir())


def test_a_default_written_out_makes_no_other_run(home: Path, source: Run, tmp_path: Path) -> None:
    """Not in a run, not in a record made of stored scores, not in a failed one, and not in a table."""
    args = {"space": "log", "estimate_on": "test"}
    written, left_out = (config_of(home, calibration={"method": "batch", "args": given}) for given in (args, {}))
    runs = [evaluate(config, tmp_path / name) for name, config in (("written", written), ("left out", left_out))]
    made = calibrated(source, "batch", args=args, results_path=tmp_path / "made").records[0]
    records = [made, *(run.record for run in runs)]
    assert len({record.run_id for record in records}) == 1
    assert len({write_failure(config, tmp_path, "x", "y")[0].run_id for config in (written, left_out)}) == 1
    assert len(report_table(records).configurations) == 1
    again = calibrated(runs[0], "batch", args=args)
    assert again.notes == [f"{runs[0].folder.name} is there already"]
    other = calibrated(source, "batch", args={"space": "probability"}, results_path=tmp_path / "made").records[0]
    assert other.run_id != made.run_id


def test_a_failed_attempt_at_the_same_run_is_replaced(home: Path, source: Run, tmp_path: Path) -> None:
    config = config_of(home, calibration={"method": "batch"})
    identity = calibrated(source, "batch", results_path=tmp_path / "elsewhere").records[0].run_id
    _, folder = write_failure(config, tmp_path / "results", "mine", "no memory", identity)
    done = calibrated(source, "batch", results_path=tmp_path / "results")
    assert done.folders == [folder]
    assert read_record(folder).status == "completed"


def test_a_recalibrated_record_serves_like_the_run_itself(source: Run, tmp_path: Path) -> None:
    batch = calibrated(source, "batch", results_path=tmp_path / "first").folders[0]
    by_detour = calibrate_results([batch], ["domain"], results_path=tmp_path / "second").folders[0]
    directly = calibrated(source, "domain", results_path=tmp_path / "third").folders[0]
    assert by_detour.name == directly.name
    assert read_items(by_detour) == read_items(directly)
    assert read_record(by_detour).inference == read_record(directly).inference
    assert read_record(by_detour).inference["scores_of"] == source.record.run_id


def test_folders_of_recalibrated_records_say_what_was_done(source: Run, tmp_path: Path) -> None:
    kinds = list(normalization_registry)
    done = calibrate_results([source.folder], ["all"], normalizations=["all"], results_path=tmp_path)
    start = source.record.slug
    without_ids = [folder.name[: folder.name.rindex("-")] for folder in done.folders]
    ends = [[method, *([] if kind == "none" else [kind])] for method in calibration_registry for kind in kinds]
    assert sorted(without_ids) == sorted("-".join([start, *end]) for end in ends)
    assert [record.folder_name for record in done.records] == [folder.name for folder in done.folders]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_scores_beside_the_test_rows_are_stored_once_where_the_file_system_allows(
    links: bool, source: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: Any, **options: Any) -> None:
        raise PermissionError("no links here")

    origin = Path(shutil.copytree(source.folder, tmp_path / "origin" / source.folder.name))
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    folder = calibrated(Run(source.record, origin), "batch", results_path=tmp_path).folders[0]
    ours, theirs = folder / "support.jsonl", origin / "support.jsonl"
    assert ours.samefile(theirs) is links
    assert ours.read_bytes() == theirs.read_bytes()
    (folder / "record.json").unlink()
    calibrated(Run(source.record, origin), "batch", results_path=tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["items.jsonl", "record.json", "support.jsonl"]
    shutil.rmtree(origin)
    domain = calibrate_results([folder], ["domain"], results_path=tmp_path).folders[0]
    assert read_support(domain) == read_support(source.folder), "it serves without the run itself"


def test_records_with_scores_of_a_run_that_is_there_too_are_no_sources(source: Run, tmp_path: Path) -> None:
    shutil.copytree(source.folder, tmp_path / source.folder.name)
    calibrate_results([tmp_path], ["batch", "domain"])
    done = calibrate_results([tmp_path], ["contextual"])
    assert len(done.records) == 1
    assert done.notes == []


def test_runs_without_label_scores_are_left_out_and_told(home: Path, source: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(source.folder, results / source.folder.name)
    generating = {"method": "generate", "generation_args": {"max_new_tokens": 2}, "score_shots": False}
    generated = evaluate(config_of(home, **generating), results)
    _, failed = write_failure(config_of(home, batch_size=3), results, "mine", "no memory")
    done = calibrate_results([results], ["batch"])
    assert len(done.records) == 1
    assert sorted(done.notes) == sorted(
        [
            f"{generated.folder.name}: it has no scores of labels that exclude each other (generated answers, "
            "multi-label)",
            f"{failed.name}: the run failed",
        ]
    )
    with pytest.raises(SftError, match="no finished run with label scores"):
        calibrate_results([failed], ["batch"])


def test_missing_shots_are_an_error_before_anything_is_written(home: Path, source: Run, tmp_path: Path) -> None:
    without = evaluate(config_of(home, score_shots=False, batch_size=2), tmp_path / "results")
    with pytest.raises(MissingScores, match="no scores of the shots") as caught:
        calibrate_results([source.folder, without.folder], ["batch", "temperature"], results_path=tmp_path / "new")
    assert without.folder.name in caught.value.message
    assert caught.value.hint == "run the experiment with inference.score_shots=true"
    assert not (tmp_path / "new").exists()
    done = calibrated(without, "all", results_path=tmp_path / "new")
    assert {r.config["inference"]["calibration"]["method"] for r in done.records} == {"batch", "contextual", "domain"}
    assert sorted(done.notes) == [
        f"{name} for {without.folder.name}: the run holds no scores of the shots"
        for name in ("batch_adjustable", "temperature")
    ]


def test_records_of_before_scores_were_stored_take_what_needs_none(source: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source.folder, tmp_path / source.folder.name))
    (folder / "support.jsonl").unlink()
    done = calibrate_results([folder], ["all"])
    assert [record.config["inference"]["calibration"]["method"] for record in done.records] == ["batch"]
    assert len(done.notes) == len(calibration_registry) - 1


def without_the_end(items: Path, characters: int) -> None:
    items.write_text(items.read_text(encoding="utf-8")[:-characters], encoding="utf-8")


def without_the_last_row(items: Path) -> None:
    without_the_end(items, len(items.read_text(encoding="utf-8").split("\n")[-2]) + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda items: items.unlink(), "No such file"),
        (lambda items: without_the_end(items, 20), "Expecting"),
        (without_the_last_row, "8 rows are not the 9 test rows"),
    ],
    ids=["missing", "cut within a line", "cut after a line"],
)
def test_scores_that_are_not_whole_are_refused(
    change: Callable[[Path], None], message: str, source: Run, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source.folder, tmp_path / source.folder.name))
    change(folder / "items.jsonl")
    with pytest.raises(SftError, match=message):
        calibrate_results([folder], ["batch"])
    assert list(tmp_path.iterdir()) == [folder]


def test_a_run_that_a_named_method_cannot_be_applied_to_is_named(source: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source.folder, tmp_path / source.folder.name))
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record["data"]["test_row_numbers"] = record["data"]["test_row_numbers"][:1]
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    write_items(folder, read_items(folder)[:1])
    with pytest.raises(SftError, match=f"^batch for {folder.name}: .* got 1 test rows"):
        calibrate_results([folder], ["batch"])


REFUSED: list[tuple[list[str], dict[str, Any], type[SftError], str]] = [
    (["bach"], {}, ConfigError, "did you mean 'batch'?"),
    (["batch"], {"args": {"gamma": 1}}, ConfigError, "args.gamma: no argument"),
    (["batch"], {"args": {"space": "linear"}}, ConfigError, "args.space"),
    (["batch"], {"normalizations": ["byte"]}, ConfigError, "did you mean 'bytes'?"),
    (["batch", "domain"], {"args": {"samples": 3}}, SftError, "--args are of one method"),
    (["all"], {"args": {"samples": 3}}, SftError, "--args are of one method"),
    (["none"], {"args": {}}, SftError, "--args are of one method"),
    (["domain"], {"args": {"samples": 21}}, MissingScores, "21 inputs of random words"),
    (["contextual"], {"args": {"content_free_inputs": ["nothing"]}}, MissingScores, "'nothing'"),
]


@pytest.mark.parametrize(("methods", "options", "kind", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_what_cannot_be_done_is_refused_with_a_reason(
    methods: list[str], options: dict[str, Any], kind: type[SftError], message: str, source: Run, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        calibrate_results([source.folder], methods, results_path=tmp_path / "new", **options)
    assert message in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_results_path_that_cannot_be_written_is_an_error_for_all_methods_too(source: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SftError, match="--results-path: can't write into"):
        calibrate_results([source.folder], ["all"], results_path=tmp_path / "file" / "results")


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), ("", "no record.json in it")])
def test_a_folder_without_records_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SftError, match=message):
        calibrate_results([tmp_path / name], ["batch"])


def test_the_record_is_renamed_into_place_last(source: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        renamed.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    calibrated(source, "batch", results_path=tmp_path)
    assert renamed == ["items.jsonl", "support.jsonl", "record.json"]


def test_it_takes_neither_model_nor_data_nor_torch(source: Run, tmp_path: Path) -> None:
    """Model and data are gone, and what it imports is light."""
    folder = Path(shutil.copytree(source.folder, tmp_path / source.folder.name))
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record["config"]["model"]["name"] = str(tmp_path / "gone")
    record["config"]["dataset"]["path"] = str(tmp_path / "gone too")
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    code = "import sys, sft\nsft.calibrate_results([sys.argv[1]], ['all'])"
    loaded = modules_after(code, str(folder))
    assert not loaded & {"torch", "transformers", "trl", "peft", "datasets", "pandas"}
    assert len(list(tmp_path.glob("*/record.json"))) == 1 + len(calibration_registry)
