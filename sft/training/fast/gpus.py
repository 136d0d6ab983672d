"""How fast GPUs are, for estimates of time.

The H100's figures are what trainings and kernels reached there. Others are their data sheets' (dense, 16 bits), times
the shares that an H100 reaches of its own sheet; they were not measured.
"""

from __future__ import annotations

from typing import NamedTuple

from sft.registry import Registry

_GIB = 2**30
_H100_SHEET = (989e12, 3.35e12)
_H100_REACHED = (650e12, 2.6e12)


class GpuSpeed(NamedTuple):
    """operations: per second, of matrix products in 16 bits. bandwidth: bytes per second. memory: bytes.

    measured: whether these were measured or come from a data sheet.
    """

    operations: float
    bandwidth: float
    memory: int
    measured: bool = False


def _by_sheet(operations: float, bandwidth: float, gib: int) -> GpuSpeed:
    shares = [reached / sheet for reached, sheet in zip(_H100_REACHED, _H100_SHEET, strict=True)]
    return GpuSpeed(operations * shares[0], bandwidth * shares[1], gib * _GIB)


gpu_registry: Registry[GpuSpeed] = Registry("GPU")
gpu_registry["h100"] = GpuSpeed(*_H100_REACHED, 79 * _GIB, measured=True)
gpu_registry["h200"] = _by_sheet(989e12, 4.8e12, 140)
gpu_registry["a100-80gb"] = _by_sheet(312e12, 2.04e12, 79)
gpu_registry["a100-40gb"] = _by_sheet(312e12, 1.56e12, 39)
gpu_registry["l40s"] = _by_sheet(362e12, 0.86e12, 44)
gpu_registry["a10"] = _by_sheet(125e12, 0.6e12, 22)
gpu_registry["rtx-4090"] = _by_sheet(165e12, 1.01e12, 23)
