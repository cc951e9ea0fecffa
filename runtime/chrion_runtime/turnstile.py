"""A lock that whoever has just left it cannot take again before one who waits."""

from threading import Lock


class Turnstile:
    """Like a Lock, which goes to whoever runs when it is left: under load one thread could have it over and over.

    One thread at a time waits for the lock itself, and all others for that one's place.
    """

    __slots__ = ("_lock", "_next")

    def __init__(self) -> None:
        self._next = Lock()
        self._lock = Lock()

    def acquire(self) -> None:
        """Wait for it."""
        with self._next:
            self._lock.acquire()

    def release(self) -> None:
        """Leave it to the next."""
        self._lock.release()

    def __enter__(self) -> None:
        with self._next:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
