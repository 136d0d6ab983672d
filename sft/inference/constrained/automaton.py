"""A compiled grammar as automata over bytes, with the distance of every state to the end of its rule.

The library says which tokens may come next, not how far the end is. Its compiled grammars can be written as JSON, which
holds one automaton per rule: that is read here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sft.errors import SftError

FORMAT = "v16"  # what xgrammar 0.2.8 calls its own
_RULE, _REPEAT = -2, -4
_PRINTABLE = 0x20
INFINITE = 1 << 60


class ByteEdge(NamedTuple):
    """Bytes from `low` to `high` lead to the state `target`."""

    low: int
    high: int
    target: int

    @property
    def example(self) -> int | None:
        """A byte that an ending may use: a plain one where there is a choice, None where all are control characters."""
        for plain in (ord("a"), ord("0"), ord(" ")):
            if self.low <= plain <= self.high:
                return plain
        if self.low == self.high or self.low >= _PRINTABLE:
            return self.low
        return _PRINTABLE if self.high >= _PRINTABLE else None


class RuleEdge(NamedTuple):
    """What the rule `rule` allows leads to the state `target`."""

    rule: int
    target: int


@dataclass(frozen=True)
class Automaton:
    """States of all rules, numbered through.

    starts: of each rule. ends: states at which their rule may end. byte_edges, rule_edges: of each state. distance:
    bytes from each state to an end of its rule, at least. farthest: bytes to the end of the whole from any state that
    can be reached, None where rules nest without limit.
    """

    root: int
    starts: Sequence[int]
    ends: frozenset[int]
    byte_edges: Sequence[Sequence[ByteEdge]]
    rule_edges: Sequence[Sequence[RuleEdge]]
    distance: Sequence[int]
    farthest: int | None

    def is_pure_end(self, state: int) -> bool:
        """Whether nothing but the end of the rule can follow."""
        return state in self.ends and not self.byte_edges[state] and not self.rule_edges[state]


def read_automaton(serialized: str) -> Automaton:
    """serialized: what xgrammar's `Grammar.serialize_json` gives for a compiled grammar.

    Raises `SftError` for a format that another version of xgrammar writes, and for grammars that refer to themselves
    before they have read anything.
    """
    data = json.loads(serialized)
    if data["__VERSION__"] != FORMAT:
        raise SftError(
            f"the installed xgrammar writes grammars in the format {data['__VERSION__']}, and {FORMAT} is known",
            'pip install "xgrammar==0.2.8"',
        )
    rules = [_Rule(fsm[0][1], frozenset(fsm[0][2])) for fsm in data["per_rule_fsms"]]
    states = _states(data["complete_fsm"])
    starts = [rule.start for rule in rules]
    ends = frozenset[int]().union(*(rule.ends for rule in rules))
    byte_edges = [[edge for edge in edges if isinstance(edge, ByteEdge)] for edges in states]
    rule_edges = [[edge for edge in edges if isinstance(edge, RuleEdge)] for edges in states]
    _refuse_left_recursion(starts, ends, rule_edges)
    distance = _distances(starts, ends, byte_edges, rule_edges)
    root: int = data["root_rule_id"]
    if distance[starts[root]] >= INFINITE:
        raise SftError("the grammar allows no text without control characters", "write another")
    farthest = _farthest(root, starts, byte_edges, rule_edges, distance)
    return Automaton(root, starts, ends, byte_edges, rule_edges, distance, farthest)


class _Rule(NamedTuple):
    start: int
    ends: frozenset[int]


def _states(fsm: Mapping[str, Any]) -> list[list[ByteEdge | RuleEdge]]:
    """The edges of every state; a repeated rule becomes as many edges in a row."""
    data, bounds, repeats = fsm["edges"]["data_"], fsm["edges"]["indptr_"], fsm["edge_aux_data"]
    states: list[list[ByteEdge | RuleEdge]] = [[] for _ in range(len(bounds) - 1)]
    for state in range(len(bounds) - 1):
        for first, second, target in data[bounds[state] : bounds[state + 1]]:
            if first >= 0:
                states[state].append(ByteEdge(first, second, target))
            elif first == _RULE:
                states[state].append(RuleEdge(second, target))
            elif first == _REPEAT:
                _unroll(states, state, target, *repeats[second : second + 3])
            else:
                raise SftError(f"a grammar with edges of the kind {first} can't be brought to an end in time")
    return states


def _unroll(states: list[list[ByteEdge | RuleEdge]], state: int, target: int, rule: int, least: int, most: int) -> None:
    """`rule` from `least` to `most` times (−1: without limit) between two states."""
    last = least if most < 0 else most
    chain = [state, *range(len(states), len(states) + last - 1)]
    states += [[] for _ in chain[1:]]
    for done, here in enumerate(chain, start=1):
        if done >= least:
            states[here].append(RuleEdge(rule, target))
        if done < last:
            states[here].append(RuleEdge(rule, chain[done]))
    if most < 0:
        states[chain[-1]].append(RuleEdge(rule, chain[-1]))


def _refuse_left_recursion(
    starts: Sequence[int], ends: frozenset[int], rule_edges: Sequence[Sequence[RuleEdge]]
) -> None:
    """The rules that a rule can begin with must not lead back to it."""
    empty = _rules_that_may_be_empty(starts, ends, rule_edges)
    begins: list[set[int]] = []
    for start in starts:
        seen, found, waiting = {start}, set(), [start]
        while waiting:
            for edge in rule_edges[waiting.pop()]:
                found.add(edge.rule)
                if edge.rule in empty and edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append(edge.target)
        begins.append(found)
    for rule in range(len(starts)):
        reached, waiting = set(begins[rule]), list(begins[rule])
        while waiting:
            new = begins[waiting.pop()] - reached
            reached |= new
            waiting += new
        if rule in reached:
            raise SftError(
                "the grammar is left-recursive: a rule begins with itself", 'write `items ::= item ("," item)*` instead'
            )


def _rules_that_may_be_empty(
    starts: Sequence[int], ends: frozenset[int], rule_edges: Sequence[Sequence[RuleEdge]]
) -> set[int]:
    empty: set[int] = set()
    while True:
        found = set()
        for rule, start in enumerate(starts):
            seen, waiting = {start}, [start]
            while waiting:
                for edge in rule_edges[waiting.pop()]:
                    if edge.rule in empty and edge.target not in seen:
                        seen.add(edge.target)
                        waiting.append(edge.target)
            if seen & ends:
                found.add(rule)
        if found == empty:
            return empty
        empty = found


def _distances(
    starts: Sequence[int],
    ends: frozenset[int],
    byte_edges: Sequence[Sequence[ByteEdge]],
    rule_edges: Sequence[Sequence[RuleEdge]],
) -> list[int]:
    """Bytes to the end of the rule, spread backwards from the ends until nothing gets nearer."""
    before: list[set[int]] = [set() for _ in byte_edges]
    for state in range(len(byte_edges)):
        for edge in byte_edges[state]:
            before[edge.target].add(state)
        for use in rule_edges[state]:
            before[use.target].add(state)
            before[starts[use.rule]].add(state)
    distance = [0 if state in ends else INFINITE for state in range(len(byte_edges))]
    waiting = set(ends)
    while waiting:
        for state in before[waiting.pop()]:
            best = min(
                [
                    distance[state],
                    *(1 + distance[edge.target] for edge in byte_edges[state] if edge.example is not None),
                    *(distance[starts[use.rule]] + distance[use.target] for use in rule_edges[state]),
                ]
            )
            if best < distance[state]:
                distance[state] = best
                waiting.add(state)
    return distance


def _farthest(
    root: int,
    starts: Sequence[int],
    byte_edges: Sequence[Sequence[ByteEdge]],
    rule_edges: Sequence[Sequence[RuleEdge]],
    distance: Sequence[int],
) -> int | None:
    """The longest way to the end: of the rules that are open at once, what is left of each."""
    members = [_reachable(start, byte_edges, rule_edges) for start in starts]
    farthest = [max(distance[state] for state in states) for states in members]
    for _ in range(len(starts) + 1):
        new = [
            max(
                [
                    farthest[rule],
                    *(distance[use.target] + farthest[use.rule] for state in states for use in rule_edges[state]),
                ]
            )
            for rule, states in enumerate(members)
        ]
        if new == farthest:
            return farthest[root] if farthest[root] < INFINITE else None
        farthest = new
    return None


def _reachable(
    start: int, byte_edges: Sequence[Sequence[ByteEdge]], rule_edges: Sequence[Sequence[RuleEdge]]
) -> set[int]:
    """The states of a rule."""
    seen, waiting = {start}, [start]
    while waiting:
        state = waiting.pop()
        for target in [*(edge.target for edge in byte_edges[state]), *(use.target for use in rule_edges[state])]:
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen
