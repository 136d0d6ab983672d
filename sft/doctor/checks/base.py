"""What a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sft.doctor.case import Case
from sft.doctor.finding import Finding
from sft.registry import Registry

Check = Callable[[Case], Iterator[Finding]]
"""Yields what it finds in a case; nothing where it has nothing to look at.

What it reads of the case may be unavailable, and `SftError` is a finding too: both are for the caller to catch.
"""

check_registry: Registry[Check] = Registry("check")
