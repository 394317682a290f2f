"""The search for choices of operations that need less transposing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ...model import Operation, Tensor
from .connections import Connections, Cost, Use
from .dialect import Choice, Dialect, Port
from .network import SINK, SOURCE, UNBOUNDED, Network
from .permutations import Perm, compose, inverse

Proposal = dict[Operation, Choice]
Weight = Callable[[Cost], int]


def fewest_first(cost: Cost) -> int:
    """A weight that orders costs as `Cost` does: by the number of transposes first."""
    return (cost.transposes << 160) + (cost.items << 80) + (cost.places << 40) + cost.reshapes


def smallest_first(cost: Cost) -> int:
    """A weight that orders costs by the number of moved items first."""
    return (cost.items << 160) + (cost.transposes << 80) + (cost.places << 40) + cost.reshapes


def improve(connections: Connections, dialect: Dialect) -> bool:
    """Changes the choices until no proposal needs less transposing. Returns whether any was changed.

    A proposal starts at a transpose: one of its two neighbors takes over the permutation of the other, and the
    consequences are passed on from operation to operation as far as these can follow. If a proposal does not pay as a
    whole, its best part is taken: the minimum cut between the operations that follow and those that stay. Every change
    reduces the number of transposes or of moved items, and increases neither; or it keeps both and improves the places
    of transposes (see `Cost`).
    """
    improved = False
    while _sweep(connections, dialect):
        improved = True
    return improved


def _sweep(connections: Connections, dialect: Dialect) -> bool:
    improved = False
    useless: set[tuple[Operation, Choice]] = set()
    for use in list(connections.conflicts()):
        for operation, port, layout in _ends(connections, use):
            current = connections.choice[operation]
            if current.at(port) == layout:
                continue
            for choice in dialect.choices(operation, port, layout, current):
                if (operation, choice) in useless:
                    continue
                proposal = _spread(connections, dialect, operation, port, choice)
                part = _best_part(connections, proposal)
                if part:
                    connections.choice.update(part)
                    improved = True
                    break
                useless.update(proposal.items())
    return improved


def _ends(connections: Connections, use: Use) -> Iterator[tuple[Operation, Port, Perm]]:
    """The changes of the reader of a tensor, or else of its producer, that would make a transpose unnecessary there."""
    original, _ = connections.origin(use.tensor)
    if use.operation is not None:
        made = connections.made(original, {})
        yield use.operation, Port(False, use.position), compose(inverse(use.perm), made)
    producer = original.producer
    if producer is not None:
        index = next(k for k, output in enumerate(producer.outputs) if output is original)
        yield producer, Port(True, index), connections.needed(use, {})


def _spread(connections: Connections, dialect: Dialect, operation: Operation, port: Port, choice: Choice) -> Proposal:
    """The choices of an operation and of all others that follow it."""
    proposal = {operation: choice}
    settled = {operation: {port}}
    queue = deque((operation,))
    while queue:
        operation = queue.popleft()
        choice, old = proposal[operation], connections.choice[operation]
        for own in _ports(operation):
            if choice.at(own) == old.at(own):
                continue
            for other, asked, layout in connections.requests(operation, choice, own):
                current = connections.chosen(other, proposal)
                if current.at(asked) == layout:
                    continue
                kept = settled.setdefault(other, set())
                for answer in dialect.choices(other, asked, layout, current):
                    if all(answer.at(k) == current.at(k) for k in kept):
                        proposal[other] = answer
                        kept.add(asked)
                        queue.append(other)
                        break
    return proposal


def _ports(operation: Operation) -> Iterator[Port]:
    for index in range(len(operation.inputs)):
        yield Port(False, index)
    for index in range(len(operation.outputs)):
        yield Port(True, index)


def _best_part(connections: Connections, proposal: Proposal) -> Proposal:
    """The part of the proposal that pays best; empty if none does."""
    originals = dict.fromkeys(t for operation in proposal for t in connections.neighbors(operation))
    before = connections.cost(originals, {})
    best, best_cost = Proposal(), before
    for part in _parts(connections, originals, proposal):
        cost = connections.cost(originals, part)
        if cost.is_better(before) and cost < best_cost:
            best, best_cost = part, cost
        if not any(best_cost):
            break
    return best


def _parts(connections: Connections, originals: Iterable[Tensor], proposal: Proposal) -> Iterator[Proposal]:
    yield proposal
    if len(proposal) > 1:
        yield _cheapest_part(connections, originals, proposal, fewest_first)
        yield _cheapest_part(connections, originals, proposal, smallest_first)


def _cheapest_part(
    connections: Connections, originals: Iterable[Tensor], proposal: Proposal, weight: Weight
) -> Proposal:
    """A minimum cut: operations on the side of the sink follow the proposal, the others stay as they are.

    Costs that a network cannot express exactly (for pairs that agree only if one of the two follows) are rounded up.
    """
    network = Network()
    for original in originals:
        _add_original(network, connections, original, proposal, weight)
    followers = network.sink_side()
    return {operation: choice for operation, choice in proposal.items() if operation in followers}


def _add_original(
    network: Network, connections: Connections, original: Tensor, proposal: Proposal, weight: Weight
) -> None:
    """Adds the cost of one tensor: of each permutation that a use needs and the producer does not make."""
    producer = original.producer if original.producer in proposal else None
    made = [connections.made(original, choices) for choices in ({}, proposal)]
    always: set[Perm] = set()
    staying: dict[Perm, list[Operation]] = {}
    following: dict[Perm, list[Operation]] = {}
    for use in connections.uses.get(original, ()):
        now, then = (connections.needed(use, choices) for choices in ({}, proposal))
        if use.operation is None or now == then:
            always.add(now)
        else:
            staying.setdefault(now, []).append(use.operation)
            following.setdefault(then, []).append(use.operation)
    for needed in dict.fromkeys((*always, *staying, *following)):
        prices = [weight(connections.transposition_cost(original, layout, needed)) for layout in made]
        stay = [] if needed in always else staying.get(needed, [])
        follow = [] if needed in always else following.get(needed, [])
        base = min(prices)
        if base:
            _any_stays(network, (original, needed, "now"), stay, SINK, base)
            _any_follows(network, (original, needed, "then"), SOURCE, follow, base)
        if producer is None or prices[0] == prices[1]:
            continue
        extra = abs(prices[0] - prices[1])
        if prices[0] > prices[1]:  # paid if the producer stays
            if needed in always or stay:
                network.connect(producer, SINK, extra)
            else:
                _any_follows(network, (original, needed, "made now"), producer, follow, extra)
        elif needed in always or follow:  # paid if the producer follows
            network.connect(SOURCE, producer, extra)
        else:
            _any_stays(network, (original, needed, "made then"), stay, producer, extra)


def _any_stays(network: Network, gate: object, operations: list[Operation], end: object, price: int) -> None:
    """Charges the price once if any of the operations is on the source's side and `end` on the sink's."""
    if operations:
        network.connect(gate, end, price)
    for operation in operations:
        network.connect(operation, gate, UNBOUNDED)


def _any_follows(network: Network, gate: object, start: object, operations: list[Operation], price: int) -> None:
    """Charges the price once if `start` is on the source's side and any of the operations on the sink's."""
    if operations:
        network.connect(start, gate, price)
    for operation in operations:
        network.connect(gate, operation, UNBOUNDED)
