"""One token for every row in the slots; on a GPU as a CUDA graph, since launching a small step takes longer than it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sft.inference.backbone import refuse_other_layers
from sft.inference.generation.slot_attention import slot_pass
from sft.inference.generation.slots import Slots, StepPass
from sft.inference.triton_support import runs_triton
from sft.models.load import LoadedModel

logger = logging.getLogger(__name__)

# Without our kernel, a graph holds for lengths up to a multiple of this.
_SPAN_MULTIPLE = 256


@dataclass
class _Graph:
    graph: Any
    logits: Tensor


@dataclass
class Step:
    """tokens: [slots], what each row reads next. positions: [slots], where."""

    loaded: LoadedModel
    memory: Slots
    tokens: Tensor = field(init=False)
    positions: Tensor = field(init=False)
    _graphs: dict[tuple[int, int], _Graph] = field(default_factory=dict)

    def __post_init__(self) -> None:
        device = self.loaded.device
        self.tokens = torch.zeros(self.memory.count, dtype=torch.long, device=device)
        self.positions = torch.zeros(self.memory.count, dtype=torch.long, device=device)
        self.uses_graphs = device.type == "cuda"

    def __call__(self, count: int, longest: int) -> Tensor:
        """Logits [count, V] of the rows in the first `count` slots, valid until the next call.

        longest: the number of tokens of the longest row, the one that it reads included.
        """
        if not self.uses_graphs:
            return self._forward(count, longest)
        span = self.memory.length
        if not runs_triton(self.tokens):
            span = min(span, -(-longest // _SPAN_MULTIPLE) * _SPAN_MULTIPLE)
        if (count, span) not in self._graphs:
            self._capture(count, span)
            if not self.uses_graphs:
                return self._forward(count, longest)
        graph = self._graphs[count, span]
        graph.graph.replay()
        return graph.logits

    def _forward(self, count: int, span: int) -> Tensor:
        current = StepPass(self.memory, self.positions[:count], span)
        with slot_pass(current):
            output = self.loaded.base_model(
                input_ids=self.tokens[:count, None], position_ids=self.positions[:count, None], use_cache=False
            )
        refuse_other_layers(self.loaded, len(current.layers))
        logits: Tensor = output.logits[:, -1]
        return logits

    def _capture(self, count: int, span: int) -> None:
        """A step may be run any number of times before its tokens are replaced, with the same outcome."""
        pool = next(iter(self._graphs.values())).graph.pool() if self._graphs else None
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._forward(count, span)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=pool):
                logits = self._forward(count, span)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # models may look at values on the host, which a graph can't; they run without one
            logger.info("generating without CUDA graphs: %s: %s", type(error).__name__, str(error).split("\n")[0])
            self.uses_graphs = False
            return
        self._graphs[count, span] = _Graph(graph, logits)
