"""The process of one run: `python -m sft.experiments.worker TASK.json`.

The task names a config and a results path; where the run left its record, completed or failed, is written beside the
task.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path

from sft.config.load import config_from_value
from sft.errors import SftError
from sft.experiments.failure import write_failure
from sft.logs import configure_logging
from sft.pipeline.endpoints import complete, start
from sft.plugins import import_modules, load_entry_points
from sft.records import write_text


def main(task: Path) -> int:
    value = json.loads(task.read_text(encoding="utf-8"))
    name, results_path = value["name"], Path(value["results_path"])
    config = config_from_value(value["config"], name)
    identity = None
    try:
        load_entry_points()
        import_modules(value["imports"])
        started = start(config, results_path, trains=config.has_shots, name=name)
        identity = started.run_id
        folder, code = complete(started).folder, 0
    except Exception as error:  # whatever stops this run must not stop the sweep
        traceback.print_exc()
        message = str(error) if isinstance(error, SftError) else f"{type(error).__name__}: {error}"
        folder, code = write_failure(config, results_path, name, message, identity)[1], 1
    write_text(task.with_suffix(".outcome"), str(folder))
    return code


if __name__ == "__main__":
    configure_logging(logging.INFO)
    sys.exit(main(Path(sys.argv[1])))
