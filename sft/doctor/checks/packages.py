"""Optional packages that the config asks for, and devices for quantised weights.

Packages that the text of a config alone tells of are looked for when it is read.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from sft.adapters import method_of
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, of_error, ok
from sft.errors import MissingPackageError, SftError
from sft.initialization.initializers.umap import INSTALL as INSTALL_UMAP
from sft.models.quantization import find_quantization

_OF_INITIALIZATIONS = {"umap": ("umap", INSTALL_UMAP)}
"""Name → the module that it imports, and how to get it."""


@check_registry.register("packages")
def packages(case: Case) -> Iterator[Finding]:
    spec = case.config.adapter_spec if case.trains else None
    started = None if spec is None else method_of(spec).initialization(spec.args)
    module, install = _OF_INITIALIZATIONS.get("" if started is None else started.method, (None, ""))
    missing = module is not None and importlib.util.find_spec(module) is None
    if started is not None and module is not None and missing:
        yield of_error(MissingPackageError(module, f"the initialisation {started.method!r}", install))
    try:
        quantization = find_quantization(case.config.model, case.source)
    except SftError as problem:
        yield of_error(problem)
        return
    if not missing:
        what = "" if quantization is None else f", also for weights quantised by {quantization.method}"
        yield ok(f"the packages that the config asks for are installed{what}")
