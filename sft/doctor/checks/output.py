"""The folder that training writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, error, ok
from sft.training.output import check_output_dir, output_dir

_KEY = "training.trainer_args.output_dir"


@check_registry.register("output")
def output(case: Case) -> Iterator[Finding]:
    """Nothing is written."""
    folder = output_dir(case.config)
    if not case.trains:
        return
    if folder is None:
        if case.setting.endpoint == "train":
            yield error(
                f"{_KEY} is missing: `train` needs a folder to write to", f"set it, e.g. -o {_KEY}=outputs/mine"
            )
        return
    run_id = case.prepared.run_id(trains=True, checkpoint_fingerprint=case.source.fingerprint())
    check_output_dir(folder, run_id)
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield error(f"{_KEY}: can't write into {str(existing)!r}", "name another folder")
    else:
        yield ok(f"{_KEY}: {str(folder)!r} can be written to", folder=str(Path(folder)))
