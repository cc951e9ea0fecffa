"""Whether and when a request runs: its deadline, the queue, what it is expected to take, the bytes it may hold."""
