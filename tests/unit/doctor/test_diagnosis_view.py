"""A diagnosis on a terminal: readable without colours, and safe whatever the data holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft.cli.diagnosis import print_diagnoses, printable
from sft.doctor import Diagnosis, Finding
from tests.doctor import diagnosed


def test_without_colours_brackets_tell_what_is_in_the_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_diagnoses({"1": diagnosed(tmp_path, chat=True)})
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("<|im_start|>assistant\n⟦") == 3
    assert shown.count("<|im_end|>⟧") == 3
    assert "0 errors, 0 warnings" in shown


def test_on_a_terminal_they_are_coloured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    diagnosis = diagnosed(tmp_path, chat=True)
    print_diagnoses({"1": diagnosis})
    assert "\x1b[1;4;32m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_diagnoses({"1": diagnosis})
    assert "32m" not in capsys.readouterr().out


def test_markup_and_control_characters_of_the_data_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [{"text": "[bold]x[/bold] \x1b[31mred\x07 مرحبا", "label": name} for name in ("a", "b")]
    test = [{"text": "another", "label": "a"}]
    print_diagnoses({"1": diagnosed(tmp_path, train=odd, dataset={"shots": 1, "labels": ["a", "b"]}, test=test)})
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[bold]x[/bold] \\x1b[31mred\\x07 مرحبا" in shown
    assert printable("[bold]x \x1b[31m\x07 مرحبا\n") == "[bold]x \\x1b[31m\\x07 مرحبا\n"


def test_long_texts_lose_their_middle_and_answers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    pieces = [{"text": f"begins {'x' * 5000} ends", "special": False, "in_loss": False}]
    prompt = {"stage": "inference", "tokens": 9, "pieces": pieces, "answers": [" yes", " no"]}
    print_diagnoses({"1": Diagnosis([Finding("ok", "m", None, {"prompts": [prompt]}, "prompts")])})
    shown = capsys.readouterr().out
    assert "begins" in shown
    assert "[… 4412 characters …]" in shown
    assert " yes |  no" in shown
    assert "in the loss" not in shown


def test_a_warning_before_the_prompts_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_diagnoses({"1": diagnosed(tmp_path, trainer_args={"max_length": 35})})
    shown = capsys.readouterr().out
    assert "35 tokens are too few for" in shown
    assert "training prompt 3, " in shown


def test_what_is_skipped_for_one_reason_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = [Finding("skipped", "because of it", check=name) for name in ("one", "two")]
    print_diagnoses({"1": Diagnosis([*skipped, Finding("skipped", "because of that", check="three")])})
    shown = capsys.readouterr().out
    assert "one, two" in shown
    assert shown.count("because of it") == shown.count("because of that") == 1


def test_of_a_sweep_what_is_ok_of_some_is_counted_and_what_isn_t_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    shared, own = Finding("ok", "shared", check="a"), Finding("ok", "own", check="b")
    bad = Finding("error", "[bad]", "mend [it]", check="c")
    diagnoses = {"one": Diagnosis([shared, own]), "two": Diagnosis([bad, shared])}
    print_diagnoses(diagnoses)
    shown = capsys.readouterr().out
    assert "shared" in shown
    assert "own" not in shown
    assert "[bad]" in shown
    print_diagnoses(diagnoses, quiet=True)
    quiet = capsys.readouterr().out
    assert "[bad]" in quiet
    assert "shared" not in quiet
    assert "fix: mend [it]" in shown
    assert "1 error, 0 warnings\n1 finding is ok of some configs: --only NAME shows" in shown
