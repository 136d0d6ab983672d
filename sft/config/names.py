"""Short names of what a config is about, for folders and tables."""

from __future__ import annotations

from pathlib import Path

from sft.config.schema import ExperimentConfig

_SAYS_LITTLE = frozenset({"data", "dataset", "model", "models", "checkpoint", "final", "output", "train"})


def dataset_name(config: ExperimentConfig) -> str:
    """The last part of the data set's path, or the folder that its files are in."""
    path = config.dataset.path
    if isinstance(path, str):
        return _name(
            Path(path).with_suffix("") if Path(path).suffix in (".csv", ".tsv", ".json", ".jsonl") else Path(path)
        )
    first = path[0] if isinstance(path, list) else next(iter(path.values()))
    return _name(Path(first if isinstance(first, str) else first[0]).parent)


def model_name(config: ExperimentConfig) -> str:
    return _name(Path(config.model.name))


def _name(path: Path) -> str:
    """The last part of a path, with the one before where the last says little (`quickstart_data`)."""
    if path.name in _SAYS_LITTLE and path.parent.name:
        return f"{path.parent.name}_{path.name}"
    return path.name or str(path.resolve().name)
