"""How checks are run: none stops another, what can't be had is told once, the worst comes first."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sft.doctor import Diagnosis, Setting, check_registry
from sft.doctor.case import Case
from sft.doctor.finding import Finding
from sft.doctor.overheard import overheard
from sft.errors import SftError
from tests.doctor import diagnosed, levels
from tests.fakes import labelled_rows


@pytest.mark.parametrize("name", sorted(check_registry))
@pytest.mark.parametrize("endpoint", ["train", "evaluate", "predict", "run-experiment"])
def test_every_check_passes_on_a_sound_run(name: str, endpoint: str, sound: dict[str, Diagnosis]) -> None:
    assert levels(sound[endpoint], name) <= {"ok", "skipped"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Diagnosis]:
    folder = tmp_path_factory.mktemp("sound")
    args = {"output_dir": str(folder / "out")}
    return {
        endpoint: diagnosed(folder, Setting(endpoint), trainer_args=args)
        for endpoint in ("train", "evaluate", "predict", "run-experiment")
    }


def test_most_checks_have_something_to_say_of_a_sound_run(sound: dict[str, Diagnosis]) -> None:
    told = {each.check for each in sound["run-experiment"].findings}
    assert told == set(check_registry) - {"calibration"}


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    diagnosed(tmp_path, trainer_args={"output_dir": "out"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "llama"]


def test_what_can_t_be_had_is_told_once_and_the_others_go_on(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, prompting={"input_columns": ["txt"]})
    errors = [each for each in diagnosis.findings if each.level == "error"]
    assert [each.check for each in errors] == ["data"]
    assert "no column 'txt'" in errors[0].message
    assert errors[0].fix == "did you mean 'text'?"
    assert diagnosis.findings[0] == errors[0]
    assert levels(diagnosis, "model") == {"ok"}
    for dependent in ("labels", "balance", "leakage", "chat_template", "prompts", "truncation"):
        assert levels(diagnosis, dependent) == {"skipped"}
    assert diagnosis.worst == "error"


def test_a_check_that_fails_or_refuses_doesn_t_stop_the_others(tmp_path: Path) -> None:
    @check_registry.register("a_failing_one")
    def failing(case: Case) -> Iterator[Finding]:
        raise ZeroDivisionError("by zero\nand more")
        yield

    @check_registry.register("a_refusing_one")
    def refusing(case: Case) -> Iterator[Finding]:
        raise SftError("what is wrong", "what to do")
        yield

    try:
        diagnosis = diagnosed(tmp_path)
    finally:
        del check_registry["a_failing_one"], check_registry["a_refusing_one"]
    (failed,), (refused,) = diagnosis.of("a_failing_one"), diagnosis.of("a_refusing_one")
    assert (failed.level, refused.level) == ("warn", "error")
    assert failed.message.endswith("ZeroDivisionError: by zero")
    assert (refused.message, refused.fix) == ("what is wrong", "what to do")
    assert levels(diagnosis, "prompts") == {"ok"}


def test_a_diagnosis_is_json_with_the_worst_level(tmp_path: Path) -> None:
    rows = [*labelled_rows(4), {"text": "UNSEEN  message 0 is neutral", "label": "neutral"}]
    diagnosis = diagnosed(tmp_path, train=rows)
    value = json.loads(json.dumps(diagnosis.as_dict()))
    assert value["worst"] == "warn"
    assert {each["check"] for each in value["findings"] if each["level"] == "warn"} == {"leakage"}
    assert list(value["findings"][0]) == ["check", "level", "message", "fix", "details"]


def test_warnings_are_overheard_once_and_by_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("sft.somewhere")
    with overheard() as outer:
        logger.warning("of %s", "rows")
        with overheard() as inner:
            logger.warning("inside")
        logger.warning("of rows")
        logger.info("no warning")
    assert (outer, inner) == (["of rows"], ["inside"])
    assert not caplog.records
    logger.warning("after")
    assert [record.getMessage() for record in caplog.records] == ["after"]
