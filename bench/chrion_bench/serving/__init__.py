"""Chrion's server beside others: requests a second, latency, overload, and lanes beside a busy server."""
