"""What a run keeps in its folder until its record is there, so that it can go on after whatever stopped it.

    unfinished/made_with.json   library versions and device; what was made with others is thrown away
    unfinished/begun.json       that training was begun
    unfinished/training/        the trainer's checkpoints (where the config names no output_dir)
    unfinished/trained.json     what a record says of the finished training, and
    unfinished/trained/         the adapter (or the weights) that it left
    unfinished/folds/           scores of the shots by the adapters of folds, one file for each fold
    unfinished/answers/         scores of test rows, one file for each shard
    unfinished/texts.jsonl      generated texts of test rows, added one by one as they end

Everything else is there whole or not at all, by rename. Of several processes, the first reads and writes, and tells the
others; but each keeps the scores and texts that it made (texts in texts-1.jsonl and so on), until the record is there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.config.files import Stamps
from sft.distributed import on_main, own_file
from sft.environment import environment
from sft.models.load import LoadedModel
from sft.records import UNFINISHED, write_json
from sft.training.output import save_weights


class TrainedBefore(NamedTuple):
    """A finished training: what the record says of it and warned of, its seconds, and the folder of the weights."""

    report: dict[str, Any]
    warnings: list[str]
    seconds: dict[str, float]
    folder: Path


class Unfinished:
    """The folder `unfinished` of a run's folder. inputs: of the files that the run reads."""

    def __init__(self, run_folder: Path, inputs: Stamps) -> None:
        self.folder = run_folder / UNFINISHED
        on_main(lambda: self._make({"environment": environment(), "inputs": inputs}))

    @property
    def training(self) -> Path:
        """For the trainer's checkpoints."""
        return self.folder / "training"

    @property
    def answers(self) -> Path:
        """For the shards of scores."""
        return self.folder / "answers"

    @property
    def texts(self) -> Path:
        """For the texts that this process generates."""
        return own_file(self.folder / "texts.jsonl")

    @property
    def selection(self) -> Path:
        """For the scores of a selection."""
        return self.folder / "selection"

    def training_was_begun(self) -> bool:
        """Whether an earlier attempt began to train; it is begun from now on."""
        return on_main(self._begin_training)

    def trained(self) -> TrainedBefore | None:
        """What an earlier attempt has trained to the end."""
        value = on_main(lambda: self._read("trained.json"))
        if value is None:
            return None
        return TrainedBefore(value["report"], value["warnings"], value["seconds"], self.folder / "trained")

    def keep_trained(
        self, loaded: LoadedModel, report: Mapping[str, Any], warnings: list[str], seconds: Mapping[str, float]
    ) -> None:
        """Keep what was trained: the weights first, then that they are there."""
        values = {"report": dict(report), "warnings": warnings, "seconds": dict(seconds)}

        def keep() -> None:
            save_weights(loaded, self.folder / "trained")
            write_json(self.folder / "trained.json", values)
            shutil.rmtree(self.training, ignore_errors=True)

        on_main(keep)

    def publish(self, folder: Path, loaded: LoadedModel) -> None:
        """Move what was trained to its place, with the tokenizer beside it. For the first process."""
        loaded.tokenizer.save_pretrained(str(self.folder / "trained"))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "trained", folder)

    def fold(self, number: int) -> list[dict[str, Any]] | None:
        value = on_main(lambda: self._read(f"folds/{number}.json"))
        return None if value is None else list(value["inputs"])

    def keep_fold(self, number: int, inputs: Sequence[Mapping[str, Any]]) -> None:
        on_main(lambda: write_json(self.folder / f"folds/{number}.json", {"inputs": inputs}))

    def remove(self) -> None:
        """The run is complete. For the first process."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, made_with: dict[str, Any]) -> None:
        if self._read("made_with.json") != made_with:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(self.folder / "made_with.json", made_with)

    def _begin_training(self) -> bool:
        path = self.folder / "begun.json"
        if path.exists():
            return True
        write_json(path, {})
        return False

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.exists():
            return None
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return value
