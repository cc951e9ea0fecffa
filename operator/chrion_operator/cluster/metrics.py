"""What Prometheus can read of the operator itself."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("chrion_operator_reconciles", "Reconciliations of a ChrionModel, by result", ["result"])
RECONCILE_SECONDS = Histogram(
    "chrion_operator_reconcile_seconds",
    "Duration of a reconciliation, in seconds",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
APPLIED = Counter("chrion_operator_writes", "Objects applied, patched and deleted", ["verb", "kind"])
POD_ANSWERS = Counter("chrion_operator_pod_answers", "Answers of runtime pods, by kind", ["result"])
API_REQUESTS = Counter("chrion_operator_api_requests", "Requests to the API server, watches included", ["verb"])
RESTARTED_WATCHES = Counter("chrion_operator_relists", "Lists repeated because a watch could not resume", ["kind"])
LEFT_OUT = Counter("chrion_operator_left_out", "Objects that could not be read and were ignored", ["kind"])
FAULTS = Counter("chrion_operator_faults", "Unexpected exceptions, by where they were caught", ["where"])
QUEUED = Gauge("chrion_operator_queue_length", "ChrionModels waiting to be reconciled")
LEADING = Gauge("chrion_operator_leading", "1 while this process is the leader")
