"""Shared by all tests: no network, real assets where they are, and a config that works in a few milliseconds."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Before any Hugging Face library is imported: they read these once. Data sets are cached for this session only, so
# that no test sees what another session left.
_CACHE = tempfile.TemporaryDirectory(prefix="sft-tests-", ignore_cleanup_errors=True)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = _CACHE.name
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tiny models are slower on two threads than on one, and tests may run in several processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline (CI machines stall), no files in the working tree, and the same examples in every run.
settings.register_profile("sft", deadline=None, database=None, derandomize=True)
settings.load_profile("sft")

REPOSITORY = Path(__file__).resolve().parents[1]


def assets_folder() -> Path:
    """Where real data, models, tokenizers and templates are, for parametrising; it may not exist."""
    return (REPOSITORY / os.environ.get("SFT_TEST_ASSETS", "../shared")).resolve()


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real data, models, tokenizers and templates; tests that need it are skipped without it."""
    folder = assets_folder()
    if not folder.is_dir():
        pytest.skip(f"no test assets at {folder} (set SFT_TEST_ASSETS)")
    return folder


@pytest.fixture
def repository() -> Path:
    """The root of this repository, for tests of what is shipped beside the package."""
    return REPOSITORY


def pytest_collection_finish() -> None:
    """What modules of tests and libraries hold stays: every run looks for garbage, and would look through that too."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()
