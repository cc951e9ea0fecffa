"""Run the requests of sequences: each reads the state that the one before it left."""

from collections.abc import Callable, Mapping, Sequence

from chrion_api import Shape
from chrion_graph.inputs import NO_DEFAULTS
from chrion_graph.types import TensorType
from chrion_runtime.devices import Memory
from chrion_runtime.errors import SequenceMismatch
from chrion_runtime.run.state_transfer import HeldValue, StateTransfer
from chrion_runtime.sequences.start import Fills, check_fits, start_shapes, start_state, state_bytes
from chrion_runtime.sequences.store import SequenceStore, State
from chrion_runtime.servable import Array, SequenceStep
from chrion_runtime.stop import Stop

Answer = Callable[[Mapping[str, Array], StateTransfer], dict[str, Array]]
"""Runs the model; calls `Sequences.begin` once it knows the bucket."""


class Sequences:
    """The state of one model's sequences. It is bound to names and shapes, not to a plan: any executor may run next."""

    def __init__(
        self,
        links: Mapping[str, str],
        kinds: Mapping[str, TensorType],
        host: Memory,
        store: SequenceStore | None = None,
        fills: Fills | None = None,
        defaults: Mapping[str, Array] = NO_DEFAULTS,
    ) -> None:
        """`links` come from `state_links`; `kinds` are the types of all inputs; `fills` says what to start with, and
        `defaults` what inputs hold that are not sent."""
        self.links = dict(links)
        self.inputs = frozenset(links.values())
        self.store = store or SequenceStore()
        self._kinds = kinds
        self._host = host
        self._fills = fills or {}
        self._defaults = defaults

    def run(
        self,
        step: SequenceStep,
        feeds: Mapping[str, Array],
        outputs: Sequence[str] | None,
        answer: Answer,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request of a sequence; its state moves on only when that went well and was not stopped.

        Raises SequenceLost, SequencesFull, TooMuchToKeep, SequenceMismatch where the request does not fit the state,
        and what `answer` does.
        """
        if not self.links:
            raise SequenceMismatch("the model has no state that sequences could carry: leave out the sequence")
        with self.store.turn(step) as turn:
            transfer = StateTransfer(self.links, frozenset(outputs or ()), turn.state or {}, turn.hold)
            if turn.state is not None:
                check_fits(self._kinds, feeds, {name: held.shape for name, held in turn.state.items()})
            results = answer(feeds, transfer)
            turn.hold(sum(held.nbytes for held in transfer.left.values()), "the state of the sequence")
            if stop is not None:
                stop.finish()
            turn.left = transfer.left
            return results

    def begin(self, transfer: StateTransfer, feeds: Mapping[str, Array], bucket: Mapping[str, Shape]) -> None:
        """Give a run that starts a sequence its state, in the shapes of this bucket; one that does not has it.

        Raises SequencesFull, TooMuchToKeep.
        """
        if not transfer.taken:
            shapes = start_shapes(self._kinds, feeds, bucket)
            sizes = state_bytes(self._kinds, shapes)
            largest = max(sizes, key=lambda name: sizes[name])
            transfer.room(sum(sizes.values()), f'input "{largest}": the state that the sequence starts with')
            zeros = start_state(self._kinds, shapes, self._fills, self._defaults)
            transfer.taken = {name: HeldValue(self._host, array) for name, array in zeros.items()}

    def park(self) -> None:
        """Bring every state to the host, where it holds no device's memory; the next request takes it from there."""
        self.store.each(self._parked)

    def _parked(self, state: State) -> State:
        return {
            name: held if held.memory.on_host else HeldValue(self._host, held.array().copy())
            for name, held in state.items()
        }
