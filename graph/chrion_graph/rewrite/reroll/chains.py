"""Find chains of cells: the same weights step after step, each step reading the state that the one before made."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chrion_graph.graph import Graph
from chrion_graph.rewrite.reroll.cells import Cells, RecurrentCell, Role
from chrion_graph.rewrite.reroll.parts import bias, weight
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.step_chains import OLDEST_OPSET, SHORTEST, without_cycles


@dataclass(frozen=True, eq=False)
class Chain:
    """The steps of one layer in the order in which they run."""

    cells: tuple[RecurrentCell, ...]
    role: Role
    """How the hidden state enters a cell."""
    first_state: str | None
    """The hidden state that the first step reads; None where it is zero."""

    @property
    def pattern(self) -> RecurrentCell:
        """A cell that shows the weights of all: constants may have been folded into the first."""
        return self.cells[1]

    @property
    def first_memory(self) -> str | None:
        """The cell state that the first step of an LSTM reads."""
        memory = self.cells[0].memory
        return memory and memory[0]

    @property
    def input_roles(self) -> tuple[Role, ...]:
        """How each input enters a cell, in the order of `inputs`."""
        return tuple(sorted(role for name, role in self.pattern.roles.items() if name != self.cells[0].output))

    @property
    def inputs(self) -> tuple[tuple[str, ...], ...]:
        """For each step its inputs beside the states, to be put side by side."""
        states = [self.first_state or self.cells[0].state, *(cell.output for cell in self.cells[:-1])]
        return tuple(
            tuple(name for _, name in sorted((role, name) for name, role in cell.roles.items() if name != state))
            for cell, state in zip(self.cells, states, strict=True)
        )

    @property
    def reads(self) -> set[str]:
        """All values that the layer reads."""
        states = (self.first_state, self.first_memory)
        return {name for step in self.inputs for name in step} | {name for name in states if name}

    @property
    def writes(self) -> tuple[str, ...]:
        """All values that the layer provides: every hidden state, and the last cell state."""
        last = self.cells[-1].memory
        return (*(cell.output for cell in self.cells), *((last[1],) if last else ()))

    @property
    def nodes(self) -> set[int]:
        """All nodes of its cells."""
        return {node for cell in self.cells for node in cell.nodes}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every hidden state."""
        return tuple(cell.output for cell in self.cells)


def find_chains(reading: Reading) -> list[Chain]:
    """All chains that one layer each can stand for at the same time, in an order in which the layers can run."""
    if reading.graph.opset < OLDEST_OPSET:
        return []
    cells = Cells(reading)
    chains = _with_folded_starts(list(_paths(cells, reading.graph)), cells, reading)
    return without_cycles([chain for chain in _fitting(chains, reading) if chain.inputs[0]], reading.graph)


def _paths(cells: Cells, graph: Graph) -> Iterator[Chain]:
    """Chains of cells that nobody looks into."""
    links = _links(cells, graph)
    follower = {id(before): cell for cell, before, _ in links}
    role = {id(cell): how for cell, _, how in links}
    role |= {id(before): how for _, before, how in links if id(before) not in role}
    inner = {node for cell, before, _ in links for node in cell.nodes | before.nodes}
    closed = {
        id(cell)
        for cell in cells.found
        if id(cell) in role and _closed(cell, _source(cell, role[id(cell)]), inner, cells, graph)
    }
    linked = {id(cell) for cell, before, _ in links if {id(cell), id(before)} <= closed}
    for cell in cells.found:
        if id(cell) in closed and id(cell) not in linked:
            path = [cell]
            while (following := follower.get(id(path[-1]))) is not None and id(following) in closed:
                path.append(following)
            if len(path) >= SHORTEST:
                how = role[id(path[1])]
                yield Chain(tuple(path), how, _source(path[0], how))


def _links(cells: Cells, graph: Graph) -> list[tuple[RecurrentCell, RecurrentCell, Role]]:
    """Each cell with the one before it and how it reads that one's state; at most one follower a cell."""
    possible: dict[tuple[object, ...], list[tuple[RecurrentCell, RecurrentCell, Role]]] = defaultdict(list)
    for cell in cells.found:
        for source, role in cell.roles.items():
            before = cells.by_output.get(source)
            if before is not None and before.key == cell.key and _continues(before, cell, source, graph):
                possible[cell.key].append((cell, before, role))
    links = []
    for same in possible.values():
        # Where layers share their weights, a simple RNN's step and its layer look alike: the longer way is time.
        best = Counter(role for _, _, role in same).most_common(1)[0][0]
        followed: set[int] = set()
        for cell, before, role in same:
            if role == best and id(before) not in followed:
                followed.add(id(before))
                links.append((cell, before, role))
    return links


def _continues(before: RecurrentCell, cell: RecurrentCell, source: str, graph: Graph) -> bool:
    if cell.state is not None and cell.state != source:
        return False
    if cell.memory is None or before.memory is None:
        return True
    # A layer gives only its last cell state: one that others read ends the chain.
    passed = before.memory[1]
    readers = set(graph.consumers.get(passed, ()))
    return cell.memory[0] == passed and passed not in graph.outputs and readers <= before.nodes | cell.nodes


def _source(cell: RecurrentCell, role: Role) -> str | None:
    return next((name for name, how in cell.roles.items() if how == role and cell.state in (None, name)), None)


def _closed(cell: RecurrentCell, state: str | None, inner: set[int], cells: Cells, graph: Graph) -> bool:
    """Whether nothing but cells reads what the cell makes of its state on the way."""
    for node in cell.nodes:
        for name in graph.writes[node]:
            if name == cell.output or name in (cell.memory or ()) or not _inside(name, cell, state, cells, graph):
                continue
            if name in graph.outputs or not inner.issuperset(graph.consumers.get(name, ())):
                return False
    return True


def _inside(value: str, cell: RecurrentCell, state: str | None, cells: Cells, graph: Graph) -> bool:
    """Whether a value that a cell makes depends on its state; merely what it reads, side by side, does not count."""
    node = graph.producer[value]
    if value in cells.affines:
        sources = cells.affines[value].sources
        return state in sources or any(graph.producer.get(source) in cell.nodes for source in sources)
    return graph.nodes[node].op_type != "Concat" or any(graph.producer.get(n) in cell.nodes for n in graph.reads[node])


def _with_folded_starts(chains: Iterable[Chain], cells: Cells, reading: Reading) -> Iterator[Chain]:
    """The chains with their first steps where those were simplified, for their state is a constant."""
    taken = {id(cell) for chain in chains for cell in chain.cells}
    for chain in chains:
        start = cells.by_output.get(chain.first_state or "")
        if (
            start is not None
            and id(start) not in taken
            and _closed(start, start.state, set(start.nodes), cells, reading.graph)
        ):
            state = _folded_state(start, chain, reading)
            if state is not None:
                taken.add(id(start))
                yield replace(chain, cells=(start, *chain.cells), first_state=start.state if state.any() else None)
                continue
        yield chain


def _folded_state(start: RecurrentCell, chain: Chain, reading: Reading) -> npt.NDArray[np.float32] | None:
    """The constant state from which a simplified cell is the step before a chain; None where it is not."""
    follows = chain.cells[0]
    if start.kind != follows.kind or not _continues(start, follows, start.output, reading.graph):
        return None
    others = dict(start.roles)
    direct = others.pop(start.state or "", ((),) * len(start.gates))
    if sorted((*others.values(), chain.role)) != sorted(follows.roles.values()):
        return None
    state = np.zeros((1, follows.hidden), np.float32)
    if start.state is not None and not reading.is_zero(start.state):
        if start.state not in reading.constants:
            return None
        state = state + np.atleast_2d(reading.array(start.state))
    for gate, known, missing, there in zip(follows.gates, direct, chain.role, start.gates, strict=True):
        expected = bias(reading, gate.biases, gate.width)
        if known != missing:
            expected = expected + sum(state @ weight(reading, view) for view in missing)
        found = bias(reading, there.biases, gate.width)
        if (known and known != missing) or not np.allclose(found, expected, rtol=1e-5, atol=1e-6):
            return None
    return state


def _fitting(chains: Iterable[Chain], reading: Reading) -> Iterator[Chain]:
    """Chains whose inputs and states all have two axes and one batch size, as far as is known.

    A first state that does not fit (one row for every batch size) leaves the first step out.
    """
    for found in chains:
        chain = found
        values = [name for step in chain.inputs for name in step] + [cell.output for cell in chain.cells[1:]]
        batches = _batches(values, reading)
        rows = (reading.shape(part.constant) for gate in chain.pattern.biases for part in gate)
        if batches is None or any(shape and len(shape) == 2 and shape[0] != 1 for shape in rows):
            continue
        if not all(_state_fits(state, chain.pattern.hidden, batches, reading) for state in _first_states(chain)):
            chain = replace(chain, cells=chain.cells[1:], first_state=chain.cells[0].output)
        if len(chain.cells) >= SHORTEST:
            yield chain


def _first_states(chain: Chain) -> Iterator[str]:
    return (state for state in (chain.first_state, chain.first_memory) if state is not None)


def _state_fits(state: str, hidden: int, batches: set[int | str | None], reading: Reading) -> bool:
    if reading.is_zero(state):
        return True
    shape = reading.shape(state)
    numbers = {size for size in batches if isinstance(size, int)}
    if state in reading.constants:
        # One row or one number may stand for all.
        return len(numbers) == 1 and shape is not None and len(shape) <= 2 and shape[:-1] in ((), (1,), (*numbers,))
    if shape is None:
        return True
    return len(shape) == 2 and shape[1] in (hidden, None) and _agree({*batches, shape[0]} - {None})


def _batches(values: Sequence[str], reading: Reading) -> set[int | str | None] | None:
    """The batch sizes and symbols of some values; None where one has other axes, or they disagree."""
    found: set[int | str | None] = set()
    for value in values:
        shape = reading.shape(value)
        if shape is not None:
            if len(shape) != 2:
                return None
            found |= {shape[0]} - {None}
    return found if _agree(found) else None


def _agree(sizes: set[int | str | None]) -> bool:
    """Whether batch sizes may be the same: one that is 1 beside an open one is spread over it."""
    numbers = {size for size in sizes if isinstance(size, int)}
    return len(numbers) <= 1 and not (1 in numbers and len(sizes) > 1)
