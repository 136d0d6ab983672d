"""What `model.name` and `--checkpoint` mean."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from sft.config.schema import ModelConfig
from sft.errors import ModelError, SftError
from sft.models.source import adapter_fingerprint, find_model


def base_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}", encoding="utf-8")
    return path


def adapter_folder(path: Path, base: str | None, weights: bytes = b"weights") -> Path:
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}), encoding="utf-8")
    (path / "adapter_model.safetensors").write_bytes(weights)
    return path


def find(name: Path | str, checkpoint: Path | str | None = None) -> tuple[str, Path | None]:
    source = find_model(ModelConfig(name=str(name)), None if checkpoint is None else str(checkpoint))
    return source.base, source.adapter


def test_a_folder_with_a_config_is_a_base_model(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    assert find(base) == (str(base), None)


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen2.5-0.5B-Instruct"])
def test_a_name_that_is_no_path_is_left_to_the_hub(name: str) -> None:
    assert find(name) == (name, None)


def test_a_folder_that_train_wrote_is_its_base_and_its_adapter(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    adapter = adapter_folder(tmp_path / "adapter", str(base))
    assert find(adapter) == (str(base), adapter)


def test_the_base_of_an_adapter_may_be_on_the_hub(tmp_path: Path) -> None:
    adapter = adapter_folder(tmp_path / "adapter", "someone/some-model")
    assert find(adapter) == ("someone/some-model", adapter)


def test_a_checkpoint_wins_over_the_adapter_that_the_config_names(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    first, second = (adapter_folder(tmp_path / name, str(base)) for name in ("first", "second"))
    assert find(first, second) == (str(base), second)


def test_a_checkpoint_of_another_base_is_used_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base, other = base_folder(tmp_path / "base"), base_folder(tmp_path / "other")
    adapter = adapter_folder(tmp_path / "adapter", str(other))
    assert find(base, adapter) == (str(base), adapter)
    assert f"was trained on {other}, and is used with {base}" in caplog.text


def test_the_same_base_written_as_another_path_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    base = base_folder(tmp_path / "base")
    adapter = adapter_folder(tmp_path / "adapter", str(base))
    monkeypatch.chdir(tmp_path)
    assert find("./base", adapter) == ("./base", adapter)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def wrong_folders(tmp_path: Path) -> dict[str, tuple[str, str | None, str]]:
    """Case → model.name, --checkpoint, what the message must say."""
    base = base_folder(tmp_path / "base")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "novel.txt").touch()
    return {
        "an empty folder": (f"{tmp_path}/empty", None, "it is: empty"),
        "a folder of something else": (f"{tmp_path}/texts", None, "it is: novel.txt"),
        "a file": (f"{tmp_path}/texts/novel.txt", None, "it is: a file"),
        "a path that isn't there": (f"{tmp_path}/nothing", None, "model.name: no file or folder"),
        "a near miss": (f"{tmp_path}/bsae", None, "holds: base, empty, lost, orphan, texts"),
        "a checkpoint without an adapter": (
            str(base),
            f"{tmp_path}/texts",
            "holds neither adapter_config.json nor config.json",
        ),
        "a checkpoint that isn't there": (
            str(base),
            f"{tmp_path}/nothing",
            "holds neither adapter_config.json nor config.json",
        ),
        "an adapter without a base": (str(adapter_folder(tmp_path / "orphan", None)), None, "names no base model"),
        "an adapter whose base is gone": (
            str(adapter_folder(tmp_path / "lost", f"{tmp_path}/gone")),
            None,
            "base_model_name_or_path: no file or folder",
        ),
    }


def test_wrong_folders_are_errors_that_say_what_is_there(tmp_path: Path) -> None:
    cases = wrong_folders(tmp_path)
    assert len(cases) == 9
    for case, (name, checkpoint, message) in cases.items():
        with pytest.raises(SftError) as caught:
            find(name, checkpoint)
        assert message in str(caught.value), case
        assert caught.value.hint, case


def test_the_fingerprint_of_an_adapter_depends_on_its_weights_and_its_config(tmp_path: Path) -> None:
    first = adapter_folder(tmp_path / "first", "base")
    same = adapter_folder(tmp_path / "same", "base")
    other_weights = adapter_folder(tmp_path / "weights", "base", b"other")
    other_config = adapter_folder(tmp_path / "config", "other")
    assert adapter_fingerprint(first) == adapter_fingerprint(same)
    assert len({adapter_fingerprint(folder) for folder in (first, other_weights, other_config)}) == 3


def test_an_adapter_without_weights_is_an_error(tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter", "base")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no adapter_model\.safetensors"):
        adapter_fingerprint(folder)


def full_folder(path: Path, base: str, weights: bytes = b"weights") -> Path:
    """What `train` leaves of full fine-tuning."""
    base_folder(path)
    (path / "model.safetensors").write_bytes(weights)
    (path / "sft_config.json").write_text(json.dumps({"config": {"model": {"name": base}}}), encoding="utf-8")
    return path


def test_fully_trained_weights_are_a_base_by_name_and_by_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = base_folder(tmp_path / "base")
    full = full_folder(tmp_path / "full", str(base))
    by_name = find_model(ModelConfig(name=str(full)))
    by_checkpoint = find_model(ModelConfig(name=str(base)), str(full))
    assert by_name == by_checkpoint == (str(full), None, full)
    assert by_name.trained == full
    assert not caplog.records
    find_model(ModelConfig(name=str(base_folder(tmp_path / "other"))), str(full))
    assert f"were trained from {base}, not from {tmp_path / 'other'}" in caplog.text


def test_the_fingerprint_changes_with_whatever_was_trained(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    full = [full_folder(tmp_path / f"full{i}", str(base), weights) for i, weights in enumerate((b"a", b"b", b"a"))]
    on_base = adapter_folder(tmp_path / "on base", str(base))
    on_full = [adapter_folder(tmp_path / f"on full{i}", str(folder)) for i, folder in enumerate(full)]
    prints = [
        find_model(ModelConfig(name=str(folder))).fingerprint() for folder in (base, *full, on_base, *on_full[:2])
    ]
    assert prints[0] is None
    assert prints[1] == prints[3]
    assert len(set(prints)) == len(prints) - 1
