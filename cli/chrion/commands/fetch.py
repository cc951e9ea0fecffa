"""`chrion fetch`: bring a model to this machine, as the init containers of the planner and the runtime do."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from chrion.errors import UsageError
from chrion.options import parse_seconds
from chrion.pod.termination import cancelled_by_sigterm, last_words, terminating
from chrion_api import Quantity, Reason
from chrion_api.handover import Termination
from chrion_api.redact import redacted
from chrion_runtime.fetch import Allowed, Patience, Wanted, fetch


def command(
    uri: Annotated[
        str,
        typer.Argument(
            metavar="URI", help="The ONNX file, as https://, hf://, s3://, gs:// or file://.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="Where to write the model.")],
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="The model's digest; a mismatch is an error.")
    ] = None,
    max_bytes: Annotated[
        str, typer.Option("--max-bytes", metavar="8Gi", help="Reject larger models, external data included.")
    ] = "8Gi",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="HOST|CIDR",
            help="Fetch from this host or network although it is private or uses plain http.",
        ),
    ] = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="How often to retry after temporary faults.")] = 6,
    timeout: Annotated[str, typer.Option("--timeout", metavar="1h", help="Time limit for the whole fetch.")] = "1h",
) -> None:
    """Fetch a model with its external data from an allowed source, and check its digest.

    Addresses that are not public are rejected unless allowed, link-local ones always. Credentials are read from the
    environment. The exit code is 42 if trying again is pointless, and 1 if it may help.
    """
    _configure_logs()
    with terminating(Reason.FETCH_FAILED):
        wanted = Wanted(
            uri=uri,
            output=output,
            sha256=_digest(sha256),
            most_bytes=_bytes(max_bytes),
            allowed=Allowed.of(allow or ()),
            patience=Patience(retries),
            seconds=parse_seconds("--timeout", timeout),
        )
        fetched = asyncio.run(cancelled_by_sigterm(fetch(wanted, os.environ)))
        files = f" and {len(fetched.files)} files of external data" if fetched.files else ""
        text = f"{output}{files}: {fetched.size:,} bytes, sha256 {fetched.sha256}"
        typer.echo(f"{'already there' if fetched.kept else 'fetched'}: {text}")
        last_words(Termination(reason=Reason.SUCCEEDED, message=text, sha256=fetched.sha256))


class _Redacting(logging.Formatter):
    """Lines of libraries, which know nothing of what is secret in a URL."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _configure_logs() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _digest(text: str | None) -> str | None:
    if text is not None and (len(text) != 64 or set(text) - set("0123456789abcdef")):
        raise UsageError(f'--sha256: "{text}" must be 64 lowercase hexadecimal digits')
    return text


def _bytes(text: str) -> int:
    try:
        return Quantity(text).bytes
    except ValueError as error:
        raise UsageError(f"--max-bytes: {error}") from None
