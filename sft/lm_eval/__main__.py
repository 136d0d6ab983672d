"""`python -m sft.lm_eval …` is `lm_eval …` that also knows the model `sft`."""

from __future__ import annotations

import sys

from sft.errors import MissingPackageError, SftError


def main() -> None:
    """The harness's command line. User mistakes end as those of `sft` do."""
    try:
        _run()
    except SftError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _run() -> None:
    try:
        from lm_eval.__main__ import cli_evaluate
    except ImportError as error:
        raise MissingPackageError(
            "lm_eval", "python -m sft.lm_eval", "pip install 'supervised-finetuning[lm-eval]'"
        ) from error
    import sft.lm_eval.model  # noqa: F401  # registers it

    cli_evaluate()


if __name__ == "__main__":
    main()
