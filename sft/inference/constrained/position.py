"""Where a text stands in a grammar: every state that may have been reached, with what is open around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sft.inference.constrained.automaton import Automaton, ByteEdge


class Stack(NamedTuple):
    """A rule that is open: the state that its caller goes on from, and what is open around that."""

    state: int
    outer: Stack | None


class Reading(NamedTuple):
    """One way to read the text so far."""

    state: int
    outer: Stack | None


Position = frozenset[Reading]


class Grammar:
    """Follows texts through an automaton, byte by byte. Steps are remembered: texts of a run are much alike."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._steps: dict[tuple[Position, int], Position] = {}
        self.start = self._closed([Reading(automaton.starts[automaton.root], None)])

    @property
    def farthest(self) -> int | None:
        """Bytes from anywhere to the end, at most; None for no limit."""
        return self._automaton.farthest

    def after(self, position: Position, text: bytes) -> Position:
        """Empty where the grammar doesn't allow the text."""
        for byte in text:
            key = (position, byte)
            known = self._steps.get(key)
            if known is None:
                known = self._steps[key] = self._closed(
                    Reading(edge.target, reading.outer)
                    for reading in position
                    for edge in self._automaton.byte_edges[reading.state]
                    if edge.low <= byte <= edge.high
                )
            position = known
        return position

    def is_end(self, position: Position) -> bool:
        return any(reading.outer is None and reading.state in self._automaton.ends for reading in position)

    def distance(self, position: Position) -> int:
        """Bytes to the end, at least."""
        return min(map(self._distance, position))

    def shortest_ending(self, position: Position) -> bytes:
        """Of the endings with the fewest bytes, one of plain characters."""
        ending = bytearray()
        while not self.is_end(position):
            left = self.distance(position)
            for edge in self._edges(position):
                byte = edge.example
                assert byte is not None
                following = self.after(position, bytes([byte]))
                if self.distance(following) < left:
                    ending.append(byte)
                    position = following
                    break
            else:
                raise AssertionError("no byte leads nearer to the end")
        return bytes(ending)

    def _edges(self, position: Position) -> list[ByteEdge]:
        """What may be read next, in a fixed order."""
        edges = {edge for reading in position for edge in self._automaton.byte_edges[reading.state]}
        return sorted(edge for edge in edges if edge.example is not None)

    def _distance(self, reading: Reading) -> int:
        distance, outer = self._automaton.distance[reading.state], reading.outer
        while outer is not None:
            distance += self._automaton.distance[outer.state]
            outer = outer.outer
        return distance

    def _closed(self, readings: Iterable[Reading]) -> Position:
        """The readings, with all rules that may begin or be over there."""
        found, waiting = set[Reading](), list(readings)
        while waiting:
            reading = waiting.pop()
            if reading in found:
                continue
            found.add(reading)
            if reading.state in self._automaton.ends and reading.outer is not None:
                waiting.append(Reading(*reading.outer))
            for use in self._automaton.rule_edges[reading.state]:
                # A call with nothing left to do afterwards returns to its caller's caller, or lists would pile up.
                tail = self._automaton.is_pure_end(use.target)
                outer = reading.outer if tail else Stack(use.target, reading.outer)
                waiting.append(Reading(self._automaton.starts[use.rule], outer))
        return frozenset(found)
