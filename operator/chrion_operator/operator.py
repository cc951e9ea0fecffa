"""The running operator: its connection, its watches, its workers, its lease; started and stopped as one."""

import logging
import socket
import threading
import uuid

from prometheus_client import start_http_server

from chrion_operator.cluster.api import Api, connect
from chrion_operator.cluster.discovery import discover, owned_kinds
from chrion_operator.cluster.errors import ApiError
from chrion_operator.cluster.informer import Informer
from chrion_operator.cluster.kinds import NODE
from chrion_operator.cluster.leader import Leader
from chrion_operator.cluster.pods import Pods
from chrion_operator.controller import Controller
from chrion_operator.manifests import Server
from chrion_operator.names import MANAGED
from chrion_operator.settings import Settings

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""What ends in the middle of a look may take."""
RETRY_SECONDS = 2.0


class Operator:
    """Everything but the watch of ChrionModels, which is kopf's."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.controller: Controller
        self.pods: Pods
        self._informers: list[Informer] = []
        self._workers: list[threading.Thread] = []
        self._leader: Leader

    def start(self) -> None:
        """Connect, list and watch what there is, and stand for election. Blocks until all lists are here."""
        client = connect()
        api = Api(client)
        server = self._discover(api)
        identity = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.controller = Controller(api, self.settings, server, identity)
        self._leader = Leader(client, self.settings.operator_namespace, identity)
        self.pods = Pods(
            self.settings.scrape_seconds,
            self.controller.targets,
            lambda: self._leader.leads,
            self.controller.queue.add,
        )
        self.controller.answers = self.pods.answers
        scopes = [
            (kind, namespace, MANAGED)
            for kind in owned_kinds(server)
            for namespace in self.settings.namespaces or ("",)
        ] + ([(NODE, "", "")] if self.settings.read_nodes else [])
        self._informers = [Informer(api, *scope, self.controller) for scope in scopes]
        for informer in self._informers:
            informer.start()
        for informer in self._informers:
            informer.synced.wait()
        if self.settings.metrics_port:
            start_http_server(self.settings.metrics_port)
        log.info(
            "watching %s on Kubernetes 1.%s", ", ".join(self.settings.namespaces) or "all namespaces", server.minor
        )
        self._leader.start()
        self._workers = [
            threading.Thread(
                target=self.controller.work, args=(self._leader.wait,), name=f"worker-{number}", daemon=True
            )
            for number in range(self.settings.workers)
        ]
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Let the looks under way end, and give the lease back."""
        self.controller.queue.close()
        for worker in self._workers:
            worker.join(STOP_SECONDS / len(self._workers))
        self._leader.stop()

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self._leader.leads

    @staticmethod
    def _discover(api: Api) -> Server:
        while True:
            try:
                return discover(api)
            except ApiError as error:
                log.warning("cannot ask the API server what it has: %s", error)
                threading.Event().wait(RETRY_SECONDS)
