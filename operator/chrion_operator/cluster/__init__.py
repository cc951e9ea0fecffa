"""The thin side of the operator: the API server, watches, the work queue, leases, pods and events; decides nothing."""
