"""Which layers of a net are those of a deployed one: rules for phases, levels and stages, losses, and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import FormatError
from ..protobuf import Message

TEST = 1


@dataclass(frozen=True)
class State:
    """What the rules of layers are compared with. The phase is always TEST."""

    level: int = 0
    stages: frozenset[str] = frozenset()

    @classmethod
    def of(cls, net: Message) -> State:
        """The state that a net asks for."""
        state = net["state"]
        return cls() if state is None else cls(state["level"], frozenset(state["stage"]))

    def meets(self, rule: Message) -> bool:
        """Does the state fulfil a NetStateRule?"""
        if "phase" in rule and rule["phase"] != TEST:
            return False
        if "min_level" in rule and self.level < rule["min_level"]:
            return False
        if "max_level" in rule and self.level > rule["max_level"]:
            return False
        return self.stages.issuperset(rule["stage"]) and self.stages.isdisjoint(rule["not_stage"])

    def has(self, layer: Message) -> bool:
        """Is a layer part of the net in this state?"""
        included, excluded = layer["include"], layer["exclude"]
        if included and excluded:
            raise FormatError("a layer has rules for both, inclusion and exclusion", where=f"layer '{layer['name']}'")
        if included:
            return any(map(self.meets, included))
        return not any(map(self.meets, excluded))


def selected(net: Message, layers: Sequence[Message]) -> list[Message]:
    """The layers of a net in its state. FormatError if there are none."""
    state = State.of(net)
    result = [layer for layer in layers if state.has(layer)]
    if not result:
        reason = "the net has no layers in the phase TEST" if layers else "the net has no layers"
        raise FormatError(reason, hint="a net for training only cannot be converted; give the one for deployment")
    return result
