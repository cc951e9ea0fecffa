"""Names on Hugging Face's hub: what an hf:// URI says, and the hub's URLs for it."""

import posixpath
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from chrion_api.redact import shown
from chrion_api.uri import checked_uri
from chrion_runtime.fetch.errors import FetchRefused


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of models."""

    repository: str
    """OWNER/REPO."""
    path: str
    revision: str = "main"
    """A branch, a tag or a commit."""

    @classmethod
    def of(cls, uri: str) -> "HubFile":
        """The file of hf://OWNER/REPO/PATH[@REVISION]; % escapes other letters, such as an @. Raises FetchRefused."""
        try:
            owner, name, rest = checked_uri(uri).removeprefix("hf://").split("/", 2)
        except ValueError as error:
            raise FetchRefused(str(error)) from None
        path, _, revision = map(unquote, rest.partition("@"))
        return cls(f"{owner}/{name}", path, revision or "main")

    @property
    def folder(self) -> str:
        """The folder that the file is in; empty for the repository itself."""
        return posixpath.dirname(self.path)

    def sibling(self, name: str) -> "HubFile":
        """The file of this name, relative to this file's folder."""
        return replace(self, path=posixpath.join(self.folder, name))

    def content(self, endpoint: str, commit: str) -> str:
        """The URL of the file's bytes; at `commit`, or at its revision where none is known."""
        return f"{endpoint}/{self.repository}/resolve/{quote(commit or self.revision, safe='')}/{quote(self.path)}"

    def listing(self, endpoint: str, commit: str, recursive: bool) -> str:
        """The URL of what is in the file's folder, and if `recursive` in the folders inside it."""
        folder = f"/{quote(self.folder, safe='')}" if self.folder else ""
        query = "?recursive=true" if recursive else ""
        return f"{endpoint}/api/models/{self.repository}/tree/{commit}{folder}{query}"

    def __str__(self) -> str:
        return shown(f"hf://{self.repository}/{quote(self.path)}@{quote(self.revision)}")
