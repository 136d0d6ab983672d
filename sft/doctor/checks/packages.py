"""Optional packages that the config asks for, and devices for quantised weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig
from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, error, of_error, ok
from sft.errors import SftError
from sft.inference.constrained.vocabulary import INSTALL as INSTALL_XGRAMMAR
from sft.initialization.initializers.umap import INSTALL as INSTALL_UMAP
from sft.models.quantization import find_quantization


class Optional(NamedTuple):
    """A package, by the name that it is imported by, and who needs it: "the grammar of answers"."""

    module: str
    needed_for: str
    install: str
    is_needed: Callable[[ExperimentConfig], bool]


def _generates_under_a_grammar(config: ExperimentConfig) -> bool:
    lists = config.dataset.task_type == "multilabel" and config.inference_or_default.method == "generate"
    return config.is_constrained or lists


def _starts_at(name: str) -> Callable[[ExperimentConfig], bool]:
    def starts(config: ExperimentConfig) -> bool:
        spec = config.adapter_spec
        found = None if spec is None else method_of(spec).initialization(spec.args)
        return found is not None and found.method == name

    return starts


OPTIONAL = [
    Optional("xgrammar", "the grammar of answers", INSTALL_XGRAMMAR, _generates_under_a_grammar),
    Optional("umap", "the initialisation 'umap'", INSTALL_UMAP, _starts_at("umap")),
]


@check_registry.register("packages")
def packages(case: Case) -> Iterator[Finding]:
    for each in OPTIONAL:
        if each.is_needed(case.config) and importlib.util.find_spec(each.module) is None:
            yield error(f"{each.needed_for} needs the package {each.module!r}, which is not installed", each.install)
    try:
        quantization = find_quantization(case.config.model, case.source)
    except SftError as problem:
        yield of_error(problem)
        return
    what = "" if quantization is None else f", also for weights quantised by {quantization.method}"
    yield ok(f"the packages that the config asks for are installed{what}")
