"""The list of output lengths that generation is measured with: heavy-tailed, as answers of real tasks are.

    python benchmarks/output_lengths.py      # writes output_lengths.json

512 quantiles of a lognormal distribution with median 40 and sigma 1, cut at 512 tokens, in an order drawn by seed 0.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from statistics import NormalDist

FILE = Path(__file__).with_suffix(".json")
COUNT, MEDIAN, SIGMA, MOST = 512, 40, 1.0, 512


def output_lengths() -> list[int]:
    """As committed."""
    lengths: list[int] = json.loads(FILE.read_text())
    return lengths


def _made() -> list[int]:
    quantiles = (NormalDist().inv_cdf((i + 0.5) / COUNT) for i in range(COUNT))
    lengths = [max(1, min(MOST, round(MEDIAN * 2.718281828459045 ** (SIGMA * z)))) for z in quantiles]
    random.Random(0).shuffle(lengths)
    return lengths


if __name__ == "__main__":
    FILE.write_text(json.dumps(_made()) + "\n")
