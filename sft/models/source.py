"""What `model.name` and `--checkpoint` mean: a base model, and perhaps an adapter that `train` wrote."""

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


class ModelSource(NamedTuple):
    """base: hub id or local folder of the base weights. adapter: folder of a trained adapter, if any."""

    base: str
    adapter: Path | None


def find_model(config: ModelConfig, checkpoint: str | None = None) -> ModelSource:
    """Resolve `model.name`, which may itself be a folder with an adapter, and `--checkpoint`, which wins over it."""
    path = local_path(config.name, "model.name")
    base, adapter = config.name, None
    if path is not None and (path / ADAPTER_CONFIG).exists():
        base, adapter = base_of(path), path
    elif path is not None and not (path / "config.json").exists():
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:10]) if path.is_dir() else "a file"
        raise ModelError(
            f"model.name {config.name!r} holds neither config.json nor {ADAPTER_CONFIG}; it is: {names or 'empty'}",
            "give a folder written by save_pretrained or by `train`",
        )
    if checkpoint is not None:
        adapter = Path(checkpoint)
        if not (adapter / ADAPTER_CONFIG).exists():
            raise ModelError(
                f"--checkpoint {checkpoint!r} holds no {ADAPTER_CONFIG}", "give a folder written by `train`"
            )
        trained_on = base_of(adapter)
        if not _same_model(trained_on, base):
            logger.warning("the adapter in %s was trained on %s, and is used with %s", adapter, trained_on, base)
    return ModelSource(base, adapter)


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


def _same_model(left: str, right: str) -> bool:
    return left == right or Path(left).expanduser().resolve() == Path(right).expanduser().resolve()
