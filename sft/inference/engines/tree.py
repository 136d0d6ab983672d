"""The fast engine: every token that differs is read once.

Prompts that begin alike share one prefix, whose keys and values are computed once. What is left of the prompts, each
followed by the tree of its labels, is packed into one sequence without padding and read in one forward pass per batch,
with an attention in which a token sees the prefix and its own ancestors. The language-model head runs on the last
prompt tokens and the inner nodes of the trees only.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sft.inference.backbone import backbone, refuse_other_layers
from sft.inference.batching import BatchRunner
from sft.inference.compilation import CompiledLayers
from sft.inference.engines.base import EngineOptions, RowsOfScores, engine_registry
from sft.inference.label_tree import IntArray
from sft.inference.language_head import LanguageHead
from sft.inference.memory import activation_bytes_per_token, tokens_per_pass
from sft.inference.packing import Document, PackedBatch, documents_of, pack, pack_chain, single_rows
from sft.inference.shared_prefixes import ScoringRow, common_length, prefix_groups
from sft.inference.tolerance import agree
from sft.inference.tree_attention import KeysAndValues, Pass, tree_pass
from sft.inference.unsupported import refuse_virtual_tokens
from sft.models.load import LoadedModel

logger = logging.getLogger(__name__)

# A document of several rows is attended to as a whole, so it should be much shorter than a batch.
_DOCUMENTS_PER_PASS = 4
_SHARE_OF_LOGITS = 4
# cuDNN plans its attention anew for every shape.
_CUDA_MULTIPLE = 512
# Seconds of scoring. Compiling takes some ten and spares an eighth (measured).
_COMPILING_PAYS = 60.0


class _Pending(NamedTuple):
    """A batch whose log-probabilities may still be on their way from the device."""

    log_probs: Tensor
    batch: PackedBatch


@engine_registry.register("tree")
class TreeEngine:
    """Exact for models whose layers all attend through transformers' attention interface."""

    def __init__(self, loaded: LoadedModel, options: EngineOptions) -> None:
        self._loaded = loaded
        self._options = options
        self._model = loaded.base_model
        refuse_virtual_tokens(loaded)
        self._backbone = backbone(loaded)
        self._head = LanguageHead(self._model)
        self.on_cuda = loaded.device.type == "cuda"
        self.compiled = False
        self._layers: CompiledLayers | None = None
        self._may_compile = options.compile is True or (options.compile == "auto" and self.on_cuda)

    @torch.inference_mode()
    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> NDArray[np.float64]:
        rows = [row._replace(place=i) for i, row in enumerate(rows)]
        budget = tokens_per_pass(self._loaded)
        run = _Run(self, RowsOfScores(rows), budget, waiting)
        with BatchRunner(
            self._options.batch_size, tokens=budget, rows=None, total=len(rows), description="scoring labels"
        ) as runner:
            for group in prefix_groups(rows, budget):
                run.read_prefix(group.prefix)
                runner.run(
                    list(documents_of(group, budget // _DOCUMENTS_PER_PASS)),
                    run.score,
                    tokens=_packed,
                    length=lambda document: document.n_tokens,
                    rows=lambda document: len(document.rows),
                    split=single_rows,
                )
        run.finish()
        return run.scores.values

    def forward(self, batch: PackedBatch, prefix: KeysAndValues, kept: KeysAndValues | None = None) -> Tensor:
        """Hidden states [T, D] of a batch's tokens. kept: is given the keys and values of every layer."""
        current = Pass(batch, prefix, kept)
        device = self._loaded.device
        layers = contextlib.nullcontext() if self._layers is None else self._layers.in_use()
        with tree_pass(self._model, current, compiled=self._layers is not None), layers:
            hidden: Tensor = self._backbone(
                input_ids=torch.from_numpy(batch.tokens).to(device)[None],
                position_ids=current.layout(device).positions[None],
                use_cache=False,
            )[0]
        refuse_other_layers(self._loaded, len(current.layers))
        return hidden[0]

    def log_probs(self, batch: PackedBatch, prefix: KeysAndValues, budget: int) -> Tensor:
        """[E], of the batch's edges. Logits take less memory at a time than a layer's activations did."""
        hidden = self.forward(batch, prefix)
        available = budget * activation_bytes_per_token(self._loaded) // _SHARE_OF_LOGITS
        at_once = max(16, available // self._head.bytes_per_row(hidden))
        return self._head.log_probs(hidden, batch.scored, batch.edge_rows, batch.edge_tokens, rows_at_once=at_once)

    def compiling_pays(self, seconds_left: float) -> bool:
        return self._may_compile and (self._options.compile is True or seconds_left > _COMPILING_PAYS)

    def compile(self, batch: PackedBatch, prefix: KeysAndValues, budget: int, found: Tensor) -> None:
        """Compile the layers, if they then say of a batch what they `found` without. Tried once."""
        self._may_compile = False
        try:
            self._layers = CompiledLayers(self._model)
            again = self.log_probs(batch, prefix, budget)
        except Exception as error:  # compilers fail in many ways, and scoring goes on without one
            self._layers = None
            logger.info("the layers are not compiled: %s: %s", type(error).__name__, str(error).split("\n")[0])
            return
        before, after = (values.double().cpu().numpy() for values in (found, again))
        self.compiled = agree(before, after, self._loaded.model.dtype)
        if not self.compiled:
            self._layers = None
            logger.warning("compiled layers give other scores, so they are not used")


class _Run:
    """The state of one call: the prefix that is in memory, and the scores so far."""

    def __init__(self, engine: TreeEngine, scores: RowsOfScores, budget: int, waiting: int) -> None:
        self._engine, self._budget = engine, budget
        self._total = len(scores.values) + waiting
        self.scores = scores
        self._prefix_tokens: IntArray = np.empty(0, dtype=np.int64)
        self._prefix: KeysAndValues = {}
        self._pending: _Pending | None = None
        self._started, self._finished = time.perf_counter(), 0

    def read_prefix(self, tokens: IntArray) -> None:
        """Have the keys and values of `tokens` in memory, from those that are there as far as they agree."""
        common = common_length(self._prefix_tokens, tokens)
        self._prefix = {layer: (k[:, :, :common], v[:, :, :common]) for layer, (k, v) in self._prefix.items()}
        if common == 0:
            self._prefix = {}
        self._prefix_tokens = tokens[:common]
        step = self._budget
        while len(self._prefix_tokens) < len(tokens):
            start = len(self._prefix_tokens)
            piece = tokens[start : start + step]
            kept: KeysAndValues = {}
            try:
                self._engine.forward(pack_chain(piece, start), self._prefix, kept)
            except torch.cuda.OutOfMemoryError:
                if len(piece) == 1:
                    raise
                step = len(piece) // 2
                logger.warning("out of memory with %d tokens of a prefix; going on with %d at a time", len(piece), step)
                gc.collect()
                torch.cuda.empty_cache()
                continue
            self._prefix = {layer: _continued(self._prefix.get(layer), new) for layer, new in kept.items()}
            self._prefix_tokens = tokens[: start + len(piece)]

    def score(self, documents: Sequence[Document]) -> None:
        """Start a batch, and collect the one before it: the next is prepared while the device still works."""
        batch = pack(documents, _CUDA_MULTIPLE if self._engine.on_cuda else 1)
        log_probs = self._engine.log_probs(batch, self._prefix, self._budget)
        self.finish()
        self._pending = _Pending(log_probs, batch)
        if self._engine.compiling_pays(self._seconds_left()):
            self._engine.compile(batch, self._prefix, self._budget, log_probs)

    def _seconds_left(self) -> float:
        """As long as the rows so far took, per row."""
        return (time.perf_counter() - self._started) * (self._total / self._finished - 1) if self._finished else 0.0

    def finish(self) -> None:
        if self._pending is None:
            return
        log_probs, batch = self._pending
        self._pending = None
        # Every label has an edge, so that the last cell is the last label's.
        sums = np.bincount(batch.edge_cells, weights=log_probs.cpu().numpy())
        self.scores.put(batch.rows, sums.astype(np.float64))
        self._finished += len(batch.rows)


def _packed(n_documents: int, longest: int, total: int) -> int:
    """Tokens of a packed batch; documents are padded for attention alone, which is bounded too."""
    return max(total, n_documents * longest // 2)


def _continued(before: tuple[Tensor, Tensor] | None, new: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    if before is None or before[0].shape[2] == 0:
        return new
    return torch.cat([before[0], new[0]], dim=2), torch.cat([before[1], new[1]], dim=2)
