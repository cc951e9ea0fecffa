"""What a run may raise is answered and counted alike, be it raised in this process or in the model's own."""

import pytest

from chrion_runtime.errors import (
    OutOfMemory,
    OverMemory,
    ProcessLost,
    Restarting,
    RunError,
    SequenceLost,
    SequenceMismatch,
    SequencesFull,
    TooMuchToKeep,
    UnfitValues,
)
from chrion_runtime.isolation.wire import error_data, error_of
from chrion_runtime.serve.metrics.model import _blame
from chrion_runtime.serve.protocol.errors import STATUSES
from chrion_runtime.serve.request.refusal import refusal

EXPECTED = {
    OutOfMemory: (503, 1, "overloaded", "out_of_memory"),
    OverMemory: (413, None, "refused", "over_memory"),
    ProcessLost: (503, 1, "overloaded", "process_lost"),
    Restarting: (503, 1, "overloaded", "restarting"),
    RunError: (500, None, "failed", "run_error"),
    SequenceLost: (409, None, "refused", "sequence_lost"),
    SequenceMismatch: (400, None, "refused", "bad_request"),
    SequencesFull: (503, 1, "overloaded", "sequences_full"),
    TooMuchToKeep: (413, None, "refused", "too_much_to_keep"),
    UnfitValues: (400, None, "refused", "unfit_values"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_error_of_a_run_has_its_answer(kind):
    error = kind("m", "SIGKILL") if kind is ProcessLost else kind("what is wrong")
    status, retry_after, outcome, reason = EXPECTED[kind]
    for raised in (error, error_of(error_data(error))):
        found = refusal(raised, "POST", {})
        assert (found.status, found.text, found.retry_after) == (status, str(error), retry_after)
        assert _blame(raised) == (outcome, reason)


def test_none_is_left_out():
    assert {*STATUSES, RunError} == {*EXPECTED, MemoryError}
