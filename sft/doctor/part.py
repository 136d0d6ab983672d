"""The parts of a run that checks look at: each is made once, when it is first wanted, and may be impossible to make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sft.doctor.overheard import overheard
from sft.errors import SftError

T = TypeVar("T")


class UnavailableError(Exception):
    """A part can't be made. check: the name of the check that tells why. cause: the reason."""

    def __init__(self, check: str, cause: SftError) -> None:
        super().__init__(f"{check}: {cause.message}")
        self.check, self.cause = check, cause


class Part(Generic[T]):
    """A property that is computed once. Reading it raises `UnavailableError` where it can't be made.

    check: the name of the check that tells of it. The owner has `made: dict[str, Any]` for what was made, and
    `said: dict[str, list[str]]` for what making it warned of, by that name.
    """

    def __init__(self, check: str, make: Callable[[Any], T]) -> None:
        self._check, self._make = check, make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, case: Any, owner: type | None = None) -> T:
        if self._name not in case.made:
            case.made[self._name] = self._attempt(case)
        made: T | UnavailableError = case.made[self._name]
        if isinstance(made, UnavailableError):
            raise made
        return made

    def _attempt(self, case: Any) -> T | UnavailableError:
        said = case.said.setdefault(self._check, [])
        with overheard() as warnings:
            try:
                return self._make(case)
            except UnavailableError as unavailable:
                return unavailable
            except SftError as cause:
                return UnavailableError(self._check, cause)
            finally:
                said += [line for line in warnings if line not in said]


def part(check: str) -> Callable[[Callable[[Any], T]], Part[T]]:
    return lambda make: Part(check, make)
