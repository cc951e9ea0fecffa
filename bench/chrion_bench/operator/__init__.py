"""Measurements of the operator on a real Kubernetes, which `make bench-operator` makes."""
