"""Whether a way to compute steps gives what the model alone gives, tried on two sequences of the training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sft.inference.backbone import attending
from sft.inference.tolerance import agree
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel
from sft.prompting.labelled import LabelledIds
from sft.training.fast import documents
from sft.training.fast.compiled import compiled_parts
from sft.training.fast.documents import Documents

_KEPT = 4  # positions at the end of a sequence that are compared


def _trial_rows(rows: Sequence[LabelledIds]) -> list[LabelledIds]:
    """The longest and the shortest."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    return [by_length[-1], by_length[0]]


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def flat_differs(loaded: LoadedModel, rows: Sequence[LabelledIds]) -> str | None:
    """How a flat row of two sequences differs from each alone; None where it doesn't."""
    ids = [list(row.ids) for row in _trial_rows(rows)]
    ends = np.cumsum([len(one) for one in ids])
    kept = [position for one, end in zip(ids, ends, strict=True) for position in _last(len(one), int(end))]
    try:
        with torch.no_grad(), _evaluating(loaded.model):
            alone = torch.cat(
                [_logits(loaded, [one], torch.tensor(_last(len(one), len(one)), device=loaded.device)) for one in ids]
            )
            with attending(loaded.base_model, documents.NAME):
                together = _logits(loaded, ids, torch.tensor(kept, device=loaded.device), flat=True)
        with attending(loaded.base_model, documents.NAME):  # kernels may have no backward pass
            last = torch.tensor(_last(len(ids[1]), len(ids[1])), device=loaded.device)
            _logits(loaded, ids[1:], last, flat=True).float().sum().backward()  # type: ignore[no-untyped-call]
    except UnsupportedModelError as error:
        return str(error)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # an architecture nobody foresaw may fail anywhere; padded batches still serve it
        return f"{type(error).__name__}: {error}".split("\n")[0]
    finally:
        loaded.model.zero_grad(set_to_none=True)
    return _apart(loaded, alone, together)


def _last(length: int, end: int) -> list[int]:
    return list(range(end - min(_KEPT, length), end))


def _logits(loaded: LoadedModel, ids: Sequence[list[int]], kept: Tensor, *, flat: bool = False) -> Tensor:
    """[kept, V]"""
    device = loaded.device
    more: dict[str, Any] = {}
    if flat:
        more["position_ids"] = torch.cat([torch.arange(len(one)) for one in ids])[None].to(device)
        more["documents"] = Documents.of([len(one) for one in ids], device)
    output = loaded.model(
        input_ids=torch.tensor([token for one in ids for token in one], device=device)[None],
        use_cache=False,
        logits_to_keep=kept,
        **more,
    )
    logits: Tensor = output.logits[0]
    return logits


def _apart(loaded: LoadedModel, expected: Tensor, found: Tensor) -> str | None:
    a, b = (x.double().log_softmax(dim=-1).cpu().numpy() for x in (expected, found))
    if agree(a, b, loaded.model.dtype):
        return None
    return f"its log-probabilities are up to {float(np.abs(a - b).max()):.1e} from those of a plain forward pass"


def compiled_differs(loaded: LoadedModel, rows: Sequence[LabelledIds]) -> str | None:
    """Compiles, forward and backward, on the shortest sequence."""
    ids = [list(_trial_rows(rows)[1].ids)]
    kept = torch.tensor(_last(len(ids[0]), len(ids[0])), device=loaded.device)
    try:
        with _evaluating(loaded.model):
            plain = _logits(loaded, ids, kept).detach()
            with compiled_parts(loaded.base_model):
                found = _logits(loaded, ids, kept)
                found.float().sum().backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # what compilers fail at is theirs alone to know; layers still run uncompiled
        return f"{type(error).__name__}: {error}".split("\n")[0]
    finally:
        loaded.model.zero_grad(set_to_none=True)
    return _apart(loaded, plain, found.detach())
