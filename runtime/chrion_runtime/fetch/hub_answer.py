"""What the hub's answers say: which commit they are of, what is in a folder, and why something is refused."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import NonNegativeInt, TypeAdapter, ValidationError

from chrion_api.redact import shown
from chrion_runtime.fetch.client import WebAnswer
from chrion_runtime.fetch.errors import AccessDenied, FetchError, ModelNotFound, Unreachable
from chrion_runtime.fetch.hub_file import HubFile

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next\b')
_GIVE = "HF_TOKEN, in a cluster by the Secret of spec.model.secretRef"


@dataclass(frozen=True)
class _Entry:
    """One line of a listing, as far as it matters here."""

    type: str
    path: str
    size: NonNegativeInt = 0


_ENTRIES = TypeAdapter(list[_Entry])


def commit_of(text: str) -> str:
    """A commit as it is named in full; empty for what is none."""
    return text if _COMMIT.fullmatch(text) else ""


def told_commit(answer: WebAnswer) -> str:
    """The commit that the first to say so says an answer is of; empty where nobody does."""
    told = (commit_of(headers.get("X-Repo-Commit", "")) for headers in answer.hops)
    return next(filter(None, told), "")


def listed_files(page: bytes, who: str) -> Iterator[tuple[str, int]]:
    """Path in the repository, and bytes, of each file on a page of a listing. Raises Unreachable for another thing."""
    try:
        entries = _ENTRIES.validate_json(page)
    except ValidationError:
        raise Unreachable(f"{who}: the hub's list of its folder is none; look at HF_ENDPOINT") from None
    return ((entry.path, entry.size) for entry in entries if entry.type == "file")


def next_page(headers: Mapping[str, str]) -> str:
    """Where a listing goes on; empty at its end."""
    found = _NEXT.search(headers.get("Link", ""))
    return found[1] if found else ""


def refusal(file: HubFile, status: int, code: str, endpoint: str, has_token: bool) -> FetchError | None:
    """The error of an answer that the hub itself gives to who asks for a file; None where it is no refusal of its own.

    `code` is its X-Error-Code. It answers 401 for a repository that is not there as for one that is private.
    """
    repository, page = file.repository, shown(f"{endpoint}/{file.repository}")
    if code == "EntryNotFound":
        return ModelNotFound(f"{file}: {repository} has no such file at this revision; look for its path at {page}")
    if code == "RevisionNotFound":
        return ModelNotFound(f"{file}: {repository} has no such revision; give a branch, a tag or a commit after @")
    if code == "GatedRepo" and has_token:
        return AccessDenied(
            f"{file}: {repository} is gated and not open to HF_TOKEN; accept its terms at {page} as the token's user, "
            "and check that the token is valid"
        )
    if code == "GatedRepo":
        return AccessDenied(f"{file}: {repository} is gated; accept its terms at {page}, and give {_GIVE}")
    if code == "RepoNotFound" and has_token and status == 404:
        return ModelNotFound(f"{file}: there is no {repository} that HF_TOKEN may see; correct the URI")
    if status in (401, 403) and has_token:
        return AccessDenied(
            f"{file}: HF_TOKEN is not valid, or may not read {repository}; give another, or none if it is public"
        )
    if status in (401, 403) or code == "RepoNotFound":
        return AccessDenied(f"{file}: there is no {repository}, or it is private; correct the URI, or give {_GIVE}")
    return None
