"""The running operator: its connection, its watches, its workers, its lease; started and stopped as one."""

import logging
import socket
import threading
import uuid

from kubernetes.client import ApiClient
from prometheus_client import start_http_server

from chrion_operator.cluster.api import Api, connect
from chrion_operator.cluster.discovery import discover, owned_kinds
from chrion_operator.cluster.errors import ApiError
from chrion_operator.cluster.informer import Informer
from chrion_operator.cluster.kinds import MODEL, NODE
from chrion_operator.cluster.leader import Leader
from chrion_operator.cluster.pods import Pods
from chrion_operator.controller import Controller
from chrion_operator.manifests import Server
from chrion_operator.names import MANAGED
from chrion_operator.settings import Settings

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""What ends in the middle of a look may take."""
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 30.0
"""Until the API server is asked again where it does not answer: twice as long each time."""


class Operator:
    """All that works, but for what asks pods, which lives in the event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.controller: Controller
        self.pods: Pods
        self._informers: list[Informer] = []
        self._workers: list[threading.Thread] = []
        self._leader: Leader | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Connect, list and watch what there is, and stand for election.

        Blocks until there is an API server and all lists are here, or until `stop`.
        """
        found = self._connect()
        if found is None:
            return
        client, server = found
        api = Api(client)
        identity = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.controller = Controller(api, self.settings, server, identity)
        leader = Leader(client, self.settings.operator_namespace, identity)
        self.pods = Pods(
            self.settings.scrape_seconds,
            self.controller.targets,
            lambda: leader.leads,
            self.controller.queue.add,
        )
        self.controller.answers = self.pods.answers
        scopes = [
            (kind, namespace, labels)
            for kind, labels in ((MODEL, ""), *((kind, MANAGED) for kind in owned_kinds(server)))
            for namespace in self.settings.namespaces or ("",)
        ] + ([(NODE, "", "")] if self.settings.read_nodes else [])
        self._informers = [Informer(api, *scope, self.controller) for scope in scopes]
        for informer in self._informers:
            informer.start()
        while not all(informer.synced.wait(RETRY_SECONDS) for informer in self._informers):
            if self._stopping.is_set():
                return
        if self.settings.metrics_port:
            start_http_server(self.settings.metrics_port)
        log.info(
            "watching %s on Kubernetes 1.%s", ", ".join(self.settings.namespaces) or "all namespaces", server.minor
        )
        leader.start()
        self._leader = leader
        self._workers = [
            threading.Thread(target=self.controller.work, args=(leader.wait,), name=f"worker-{number}", daemon=True)
            for number in range(self.settings.workers)
        ]
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Let the looks under way end, and give the lease back."""
        self._stopping.set()
        if self._leader is None:
            return
        self.controller.queue.close()
        for worker in self._workers:
            worker.join(STOP_SECONDS / len(self._workers))
        self._leader.stop()

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self._leader is not None and self._leader.leads

    def _connect(self) -> tuple[ApiClient, Server] | None:
        """A connection to an API server that answers, and what it has; None where `stop` comes first."""
        pause = RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                client = connect()
                return client, discover(Api(client))
            except ApiError as error:
                log.warning("%s; trying again in %.0f s", error, pause)
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_RETRY_SECONDS)
        return None
