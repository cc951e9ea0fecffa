"""SequenceTurns: each who waits gets in, however many leave the line before."""

import asyncio

from chrion_runtime.serve.request.sequence_turns import SequenceTurns


async def waiting(turns, count):
    """So many who wait for a key that somebody has."""
    await turns.take("key")
    tasks = [asyncio.create_task(turns.take("key")) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_who_leaves_the_line_as_the_key_is_given_back_holds_up_nobody():
    async def main():
        turns = SequenceTurns()
        first, second, third = await waiting(turns, 3)
        first.cancel()
        second.cancel()
        turns.leave("key")  # before either of them has been told
        await asyncio.wait([first, second, third])
        assert [task.cancelled() for task in (first, second, third)] == [True, True, False]
        assert turns.taken("key")
        turns.leave("key")
        assert not turns.taken("key")

    asyncio.run(main())


def test_a_line_that_everybody_leaves_is_gone():
    async def main():
        turns = SequenceTurns()
        tasks = await waiting(turns, 2)
        for task in tasks:
            task.cancel()
        turns.leave("key")
        await asyncio.wait(tasks)
        assert not turns.taken("key")

    asyncio.run(main())


def test_who_is_let_in_and_leaves_before_going_in_lets_in_the_next():
    async def main():
        turns = SequenceTurns()
        first, second = await waiting(turns, 2)
        turns.leave("key")
        first.cancel()
        await asyncio.wait([first, second])
        assert first.cancelled()
        assert not second.cancelled()
        turns.leave("key")
        assert not turns.taken("key")

    asyncio.run(main())
