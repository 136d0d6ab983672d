"""The folder that `train` writes: what plain PEFT, transformers and vLLM load, and what tells whose it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.models.source import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MARKER
from sft.records import write_json

if TYPE_CHECKING:
    from sft.models.load import LoadedModel


def output_dir(config: ExperimentConfig) -> Path | None:
    """Where the config wants what is trained to be written."""
    folder = config.training.trainer_args.get("output_dir") if config.training else None
    return None if folder is None else Path(folder).expanduser()


def claim_output_dir(folder: Path, run_id: str, config: dict[str, Any], *, overwrite: bool) -> None:
    """Make `folder` ours before anything expensive, by writing the config into it.

    Raises `SftError` for a non-empty folder that another program or another configuration filled, unless told to
    overwrite. Files already there are left where they are until new ones replace them, but for checkpoints of another
    configuration, from which `--resume` must never go on.
    """
    _refuse_file(folder)
    is_foreign = _is_foreign(folder, run_id)
    if not overwrite:
        check_output_dir(folder, run_id)
    try:
        if is_foreign:
            for _, checkpoint in _checkpoints(folder):
                shutil.rmtree(checkpoint)
        write_json(folder / MARKER, {"run_id": run_id, "config": config})
    except OSError as error:
        raise SftError(f"training.trainer_args.output_dir: can't write into {str(folder)!r}: {error}") from error


def check_output_dir(folder: Path, run_id: str) -> None:
    """Raise the `SftError` that `claim_output_dir` would raise for a folder that something else filled, or a file."""
    _refuse_file(folder)
    if _is_foreign(folder, run_id):
        whose = "by another configuration" if _owner(folder) else "by something else than `sft`"
        raise SftError(
            f"training.trainer_args.output_dir: {str(folder)!r} is not empty and was filled {whose}",
            "choose another one with -o training.trainer_args.output_dir=…, or none with =null: only `train` needs it, "
            "and has --overwrite",
        )


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SftError(f"training.trainer_args.output_dir: {str(folder)!r} is a file", "name a folder")


def _is_foreign(folder: Path, run_id: str) -> bool:
    return folder.is_dir() and any(folder.iterdir()) and _owner(folder) != run_id


def last_checkpoint(folder: Path) -> Path | None:
    """The newest `checkpoint-<step>` that the trainer finished writing."""
    finished = [found for found in _checkpoints(folder) if _is_whole(found.path)]
    return max(finished).path if finished else None


def save_trained(loaded: LoadedModel, folder: Path) -> None:
    """What was trained, with tokenizer and chat template: what plain PEFT and transformers load."""
    if hasattr(loaded.model, "peft_config"):
        loaded.tokenizer.save_pretrained(str(folder))
    else:
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):  # of an earlier training, and read before the model
            (folder / name).unlink(missing_ok=True)
    save_weights(loaded, folder)


def save_weights(loaded: LoadedModel, folder: Path) -> None:
    """What it takes to have the trained model again: the adapter, or the complete model with its tokenizer where its
    own weights were trained.

    A local base model is named by its absolute path, so that the folder works from any working directory.
    """
    if not hasattr(loaded.model, "peft_config"):
        loaded.model.save_pretrained(str(folder))
        loaded.tokenizer.save_pretrained(str(folder))
        return
    # The vocabulary is never changed here, so the base's embeddings serve; PEFT would ask the hub to find that out.
    loaded.model.save_pretrained(str(folder), save_embedding_layers=False)
    if Path(loaded.source.base).is_dir():
        path = folder / ADAPTER_CONFIG
        values = json.loads(path.read_text(encoding="utf-8"))
        values["base_model_name_or_path"] = str(Path(loaded.source.base).resolve())
        write_json(path, values)


class _Checkpoint(NamedTuple):
    step: int
    path: Path


def _checkpoints(folder: Path) -> list[_Checkpoint]:
    steps = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    return [_Checkpoint(int(step), path) for path, step in steps.items() if step.isdigit()]


def _is_whole(checkpoint: Path) -> bool:
    """The trainer writes its state last, but not by rename."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _owner(folder: Path) -> str | None:
    """The run id in a folder that `train` wrote, None for other folders."""
    try:
        value = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return str(value["run_id"]) if isinstance(value, dict) and "run_id" in value else None
