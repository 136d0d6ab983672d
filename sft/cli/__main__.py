"""`python -m sft.cli`."""

from __future__ import annotations

from sft.cli import main

if __name__ == "__main__":
    main()
