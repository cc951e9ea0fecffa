"""The operator's process: it runs until it is told to end, and says meanwhile how it does."""

import asyncio
import logging
import signal
import threading

from aiohttp import web

from chrion_operator.cluster.metrics import FAULTS
from chrion_operator.operator import Operator

log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Before pods are asked again, where that ended in an exception that nobody expected."""


async def run(operator: Operator, health_port: int) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Answers probes from the beginning, where `health_port` is not 0.

    Raises OSError where the port is taken.
    """
    loop = asyncio.get_running_loop()
    started, end = asyncio.Event(), asyncio.Event()
    failures: list[Exception] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)

    def start() -> None:
        try:
            operator.start()
            loop.call_soon_threadsafe(started.set)
        except Exception as error:
            failures.append(error)
            log.exception("cannot start")
            loop.call_soon_threadsafe(end.set)

    runner = web.AppRunner(_probes(operator, started), access_log=None)
    await runner.setup()
    if health_port:
        await web.TCPSite(runner, port=health_port).start()
    # It may wait for an API server for ever, and nobody shall wait for it in the end.
    threading.Thread(target=start, name="start", daemon=True).start()
    asking = asyncio.create_task(_ask(operator, started))
    await end.wait()
    asking.cancel()
    await asyncio.to_thread(operator.stop)
    await runner.cleanup()
    return 1 if failures else 0


async def _ask(operator: Operator, started: asyncio.Event) -> None:
    await started.wait()
    while True:
        try:
            await operator.pods.ask_forever()
        except Exception:
            FAULTS.labels(where="pods").inc()
            log.exception("polling the pods failed; continuing")
        await asyncio.sleep(PAUSE_SECONDS)


def _probes(operator: Operator, started: asyncio.Event) -> web.Application:
    """/healthz for as long as the process lives, /readyz once it knows what there is; both say whether it leads."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"leading": operator.leads})

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"leading": operator.leads}, status=200 if started.is_set() else 503)

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    return app
