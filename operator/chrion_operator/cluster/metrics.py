"""What Prometheus can read of the operator itself."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("chrion_operator_reconciles", "Looks at a ChrionModel, by how they ended", ["result"])
RECONCILE_SECONDS = Histogram(
    "chrion_operator_reconcile_seconds",
    "Seconds from the look at a ChrionModel to the last thing written for it",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
APPLIED = Counter("chrion_operator_writes", "Objects applied, patched and deleted", ["verb", "kind"])
POD_ANSWERS = Counter("chrion_operator_pod_answers", "Answers of runtime pods, by what they were", ["result"])
API_REQUESTS = Counter("chrion_operator_api_requests", "Requests to the API server, watches included", ["verb"])
RESTARTED_WATCHES = Counter("chrion_operator_relists", "Lists taken again because a watch could not go on", ["kind"])
LEFT_OUT = Counter("chrion_operator_left_out", "Times that an object could not be taken in, and was left out", ["kind"])
FAULTS = Counter("chrion_operator_faults", "Unexpected exceptions, by where they were caught", ["where"])
QUEUED = Gauge("chrion_operator_queue_length", "ChrionModels that wait to be looked at")
LEADING = Gauge("chrion_operator_leading", "1 while this process is the one that writes")
