"""A Hugging Face Hub on loopback: real HTTP for the real client, with repositories, rights and faults.

`serving()` runs it in a thread; `python -m tests.contract.hub_server` runs one with files to measure against.
"""

from tests.contract.hub_server.faults import Fault, Faults, Trouble
from tests.contract.hub_server.repositories import Access, Content, Repositories, Repository
from tests.contract.hub_server.running import HubServer, serving
from tests.contract.hub_server.traffic import Place, Request, Traffic

__all__ = [
    "Access",
    "Content",
    "Fault",
    "Faults",
    "HubServer",
    "Place",
    "Repositories",
    "Repository",
    "Request",
    "Traffic",
    "Trouble",
    "serving",
]
