"""What a thread took for itself, apart from what the system took away from it."""

import resource


class ThreadClock:
    """Starts when it is made; asked on the same thread."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = resource.getrusage(resource.RUSAGE_THREAD)

    def own(self, seconds: float) -> float:
        """Of the `seconds` since the start: all of them where the thread waited for anything, else those it worked."""
        before, now = self._before, resource.getrusage(resource.RUSAGE_THREAD)
        if now.ru_nvcsw != before.ru_nvcsw:
            return seconds
        return now.ru_utime - before.ru_utime + now.ru_stime - before.ru_stime
