"""Which of several operators writes: the one that holds the Lease; a standby takes over when it is not renewed."""

import logging
import threading

from kubernetes.client import ApiClient, CoordinationV1Api
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from chrion_operator.cluster.metrics import LEADING

log = logging.getLogger(__name__)

LEASE_NAME = "chrion-operator"
LEASE_SECONDS, RENEW_DEADLINE, RETRY_SECONDS = 15, 10, 4
PAUSE_SECONDS = 1.0
"""Before standing for election again, where the API server could not be reached."""


class Leader:
    """Holds the lease as well as it can, in a thread of its own.

    Two that both believe to lead, for the seconds that a lease takes to run out, do no harm: they write the same.
    """

    def __init__(self, client: ApiClient, namespace: str, identity: str) -> None:
        self._lock = LeaseLock(LEASE_NAME, namespace, identity)
        self._lock.api_instance = CoordinationV1Api(client)
        self._leading = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._stand, name="leader", daemon=True)
        # It tells of each renewal.
        logging.getLogger("leaderelection").setLevel(logging.WARNING)

    @property
    def leads(self) -> bool:
        """Whether this process may write now."""
        return self._leading.is_set()

    def start(self) -> None:
        """Begin to stand for election."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until this process leads, at most for `seconds`; returns whether it does."""
        return self._leading.wait(seconds)

    def stop(self) -> None:
        """Lead no more, and give the lease back so that a standby need not wait for its end."""
        self._stopped.set()
        if not self._leading.is_set():
            return
        self._stop_leading()
        lease = {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            self._lock.api_instance.patch_namespaced_lease(
                self._lock.name, self._lock.namespace, lease, _request_timeout=2
            )
        except Exception as error:  # noqa: BLE001, the client's, urllib3's or the system's: the lease runs out by itself
            log.info("the lease was not released: %s", error)

    def _stand(self) -> None:
        while not self._stopped.is_set():
            config = electionconfig.Config(
                self._lock, LEASE_SECONDS, RENEW_DEADLINE, RETRY_SECONDS, self._lead, self._stop_leading
            )
            election = leaderelection.LeaderElection(config)
            try:
                election.run()
            except Exception as error:  # noqa: BLE001, it lets through whatever the connection raises
                log.warning("the lease cannot be renewed: %s", error)
            self._stop_leading()
            self._stopped.wait(PAUSE_SECONDS)

    def _lead(self) -> None:
        if not self._stopped.is_set():
            log.info("leading")
            self._leading.set()
            LEADING.set(1)

    def _stop_leading(self) -> None:
        if self._leading.is_set():
            log.info("no longer leading")
        self._leading.clear()
        LEADING.set(0)
