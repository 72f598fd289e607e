"""Everything the Hub knows, and who may see and change what of it."""

from dataclasses import dataclass, field

from fastapi import Request
from starlette.responses import Response

from tests.contract.hub_server import traffic
from tests.contract.hub_server.answers import Connections, error
from tests.contract.hub_server.faults import Faults
from tests.contract.hub_server.repositories import Access, Repositories, Repository
from tests.contract.hub_server.traffic import Place, Traffic

SIGNATURE = "SIGNED-AND-SECRET"


@dataclass
class State:
    """Everything the Hub knows.

    Attributes:
        page_size: entries of a tree per page.
        cdn: the CDN's address.
    """

    repositories: Repositories = field(default_factory=Repositories)
    faults: Faults = field(default_factory=Faults)
    traffic: Traffic = field(default_factory=Traffic)
    connections: Connections = field(default_factory=Connections)
    page_size: int = 1000
    cdn: str = ""

    def __post_init__(self) -> None:
        self.connections.faults = self.faults

    def note(self, place: Place, request: Request) -> None:
        """Remember a request."""
        self.traffic.add(
            traffic.Request(
                place,
                request.method,
                request.scope["path"],
                request.headers.get("Range"),
                request.headers.get("Authorization"),
            )
        )


class Denied(Exception):
    """An answer that ends the request."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True)
class Visitor:
    """Who asks: a user's name, or None, and whether the token may write."""

    user: str | None
    may_write: bool = False

    def see(self, repository: Repository | None) -> Repository:
        """The repository, if this visitor may know of it.

        The Hub answers 401 for hidden and missing repositories alike to those without a token.
        """
        hidden = repository is None or (
            repository.access is Access.PRIVATE and self.user not in repository.readers
        )
        if repository is None or hidden:
            if self.user is None:
                raise Denied(error(401, "RepoNotFound", "Invalid username or password."))
            raise Denied(error(404, "RepoNotFound", "Repository not found"))
        if repository.access is Access.DISABLED:
            raise Denied(error(403, None, "Access to this resource is disabled."))
        return repository

    def write(self, repository: Repository | None) -> Repository:
        """The repository, if this visitor may push to it."""
        seen = self.see(repository)
        if not (self.may_write and seen.is_writable(self.user)):
            raise Denied(error(403, None, "Forbidden: you must have write access."))
        return seen

    def take(self, repository: Repository) -> None:
        """Check that files may be downloaded."""
        if repository.access is Access.GATED and self.user not in repository.readers:
            raise Denied(error(403 if self.user else 401, "GatedRepo", "Access to this model is restricted."))
