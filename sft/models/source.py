"""What `model.name` and `--checkpoint` mean: a base model, and perhaps an adapter or weights that `train` wrote."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import NamedTuple

from sft.config.schema import ModelConfig
from sft.errors import ModelError
from sft.locations import local_path

logger = logging.getLogger(__name__)

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MODEL_CONFIG = "config.json"
MARKER = "sft_config.json"
"""What `train` writes into its folder beside the rest: run id and config."""


class ModelSource(NamedTuple):
    """base: hub id or local folder of the base weights. adapter: folder of a trained adapter, if any.

    full: the folder of the base weights where `train` wrote them as a whole (full fine-tuning).
    """

    base: str
    adapter: Path | None
    full: Path | None = None

    @property
    def trained(self) -> Path | None:
        """The folder of what was trained before, if anything was."""
        return self.full if self.adapter is None else self.adapter

    def fingerprint(self) -> str | None:
        """SHA-256 of what was trained before; None where nothing was."""
        adapter = None if self.adapter is None else adapter_fingerprint(self.adapter)
        full = None if self.full is None else _model_fingerprint(self.full)
        if adapter is None or full is None:
            return adapter or full
        return hashlib.sha256(f"{full}{adapter}".encode()).hexdigest()


def find_model(config: ModelConfig, checkpoint: str | None = None) -> ModelSource:
    """Resolve `model.name`, which may itself be a folder that `train` wrote, and `--checkpoint`, which wins over it."""
    path = local_path(config.name, "model.name")
    base, adapter = config.name, None
    if path is not None and (path / ADAPTER_CONFIG).exists():
        base, adapter = base_of(path), path
    elif path is not None and not (path / MODEL_CONFIG).exists():
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:10]) if path.is_dir() else "a file"
        raise ModelError(
            f"model.name {config.name!r} holds neither {MODEL_CONFIG} nor {ADAPTER_CONFIG}; it is: {names or 'empty'}",
            "give a folder written by save_pretrained or by `train`",
        )
    if checkpoint is not None:
        adapter = Path(checkpoint)
        if not (adapter / ADAPTER_CONFIG).exists():
            return _whole_model(adapter, base)
        trained_on = base_of(adapter)
        if not _same_model(trained_on, base):
            logger.warning("the adapter in %s was trained on %s, and is used with %s", adapter, trained_on, base)
    return ModelSource(base, adapter, _fully_trained(base))


def _fully_trained(base: str) -> Path | None:
    """The folder that `base` names, where `train` wrote it."""
    folder = Path(base).expanduser()
    return folder if (folder / MARKER).exists() and (folder / MODEL_CONFIG).exists() else None


def _whole_model(checkpoint: Path, name: str) -> ModelSource:
    """The weights in a checkpoint without adapter. name: `model.name`, of which they should be."""
    if not (checkpoint / MODEL_CONFIG).exists():
        raise ModelError(
            f"--checkpoint {str(checkpoint)!r} holds neither {ADAPTER_CONFIG} nor {MODEL_CONFIG}",
            "give a folder written by `train`",
        )
    marker = checkpoint / MARKER
    written = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    trained_from = written["config"]["model"]["name"] if "config" in written else name
    if not _same_model(trained_from, name):
        logger.warning("the weights in %s were trained from %s, not from %s", checkpoint, trained_from, name)
    return ModelSource(str(checkpoint), None, checkpoint)


def base_of(adapter: Path) -> str:
    """The base model that an adapter folder names."""
    base = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ModelError(f"{adapter / ADAPTER_CONFIG} names no base model", "train the adapter again")
    local_path(base, f"{adapter / ADAPTER_CONFIG}, base_model_name_or_path")
    return str(base)


def adapter_fingerprint(adapter: Path) -> str:
    """SHA-256 of the adapter's weights and configuration."""
    digest = hashlib.sha256()
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        file = adapter / name
        if not file.exists():
            raise ModelError(f"the adapter folder {adapter} has no {name}", "train the adapter again")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _model_fingerprint(folder: Path) -> str:
    """SHA-256 of a model's configuration and of all its weights."""
    files = [folder / MODEL_CONFIG, *sorted(folder.glob("*.safetensors"))]
    if len(files) == 1:
        raise ModelError(f"the folder {folder} has no weights", "train the model again")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _same_model(left: str, right: str) -> bool:
    return left == right or Path(left).expanduser().resolve() == Path(right).expanduser().resolve()
