"""Addresses to listen on: taking one, writing one, and what is wrong with one."""

import errno
import socket

from chrion_runtime.errors import RuntimeFailure


class CannotListen(RuntimeFailure):
    """An address that cannot be listened on."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; 0 takes any port that is free. Raises CannotListen."""
    if not 0 <= port <= 65535:
        raise CannotListen(f"cannot listen on {address(host, port)}: the port must be from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        raise CannotListen(f"cannot listen on {address(host, port)}: {_why(error)}") from None


def address(host: str, port: int) -> str:
    """Host and port as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; choose another, or stop the program that uses it"
        case errno.EACCES:
            return "ports below 1024 are reserved; choose a higher one"
        # Failures to resolve a name have negative numbers.
        case int(number) if number == errno.EADDRNOTAVAIL or number < 0:
            return "this machine has no such address; use 127.0.0.1, or 0.0.0.0 for all"
    return str(error)
