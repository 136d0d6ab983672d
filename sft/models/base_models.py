"""Base models that stay in memory from one run to the next."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psutil
import torch

from sft.config.schema import ModelConfig
from sft.logs import remembering, say_again
from sft.models.load import LoadedModel, free_memory, load_model, put_adapter
from sft.models.snapshot import ModelSnapshot
from sft.models.source import ModelSource
from sft.models.tokenizer import load_tokenizer

logger = logging.getLogger(__name__)

# Bytes, with a GPU and without. On GPUs tensors are counted, and kernels' libraries keep some; on a CPU the allocator
# keeps memory, and what runs import stays.
_MORE_MEMORY = {True: 1 << 28, False: 3 << 30}


@dataclass
class _Kept:
    """A base model in memory. key: what it was loaded from. said: what was logged then. memory: in use after that."""

    key: str
    loaded: LoadedModel
    snapshot: ModelSnapshot
    said: list[logging.LogRecord]
    memory: int


class BaseModels:
    """Hands out loaded models, one at a time.

    The last base model is kept in memory, as it was loaded, for the next that asks for the same. changed: why a model
    was not as it was loaded when it came back, and was dropped for that; None where none was.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self.changed: str | None = None

    @contextlib.contextmanager
    def use(self, config: ModelConfig, source: ModelSource) -> Iterator[LoadedModel]:
        """The model of a source, with its adapter where it has one. Whatever is put on it comes off at the end."""
        base = source._replace(adapter=None)
        key = f"{config.model_dump_json()} {base}"
        if self._kept is None or self._kept.key != key:
            self.drop()
            with remembering() as said:
                made = load_model(config, base, load_tokenizer(config, base))
            self._kept = _Kept(key, made, ModelSnapshot(made.model), said, _memory())
        else:
            say_again(self._kept.said)
        kept = self._kept.loaded
        loaded = replace(kept, source=source)
        try:
            if source.adapter is not None:
                loaded.tokenizer = load_tokenizer(config, source)
                loaded.model = put_adapter(kept.model, source).eval()
            yield loaded
        finally:
            loaded.model = None  # so that nobody keeps the adapter in memory
            self._take_back()

    def drop(self) -> None:
        """Keep nothing."""
        self._kept = None
        free_memory()

    def _take_back(self) -> None:
        assert self._kept is not None
        changed = self._kept.snapshot.restore()
        free_memory()
        more = _memory() - self._kept.memory
        if changed is None and more > _MORE_MEMORY[torch.cuda.is_available()]:
            changed = f"{more / 1e9:.1f} GB of memory weren't given back"
        if changed is None:
            return
        logger.info("the model will be loaded anew: %s", changed)
        self.changed = changed
        self.drop()


def _memory() -> int:
    """Bytes of tensors on the GPUs; without any, of the process."""
    if torch.cuda.is_available():
        torch._C._cuda_clearCublasWorkspaces()  # they count as tensors: 0.1 GB after a training
        return sum(torch.cuda.memory_allocated(device) for device in range(torch.cuda.device_count()))
    return int(psutil.Process().memory_info().rss)
