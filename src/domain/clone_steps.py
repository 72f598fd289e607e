"""The steps of a clone, as values that say in a line what they do; `clone_plan` puts them in order."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from mlxk.domain.sizes import human_size

__all__ = [
    "Assess",
    "CopyMethod",
    "CopyTree",
    "CreateStaging",
    "DiscardCopy",
    "DiscardStaging",
    "Download",
    "MarkComplete",
    "Publish",
    "RemoveStaging",
    "Step",
    "WriteManifest",
]


class CopyMethod(Enum):
    """How the files of a tree were copied, from the cheapest way to the costliest."""

    CLONEFILE = "clonefile"
    REFLINK = "reflink"
    COPY = "copy"

    @staticmethod
    def costliest(methods: Iterable["CopyMethod"], *, otherwise: "CopyMethod") -> "CopyMethod":
        """The costliest of several; `otherwise` of none."""
        order = list(CopyMethod)
        return max(methods, key=order.index, default=otherwise)


@dataclass(frozen=True, slots=True)
class DiscardStaging:
    """Remove a staging directory that is of no use: sentinel set to partial, content, sentinel, directory."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"remove {self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class CreateStaging:
    """Create the staging directory with its sentinel."""

    path: str

    def __str__(self) -> str:
        return f"create {self.path}"


@dataclass(frozen=True, slots=True)
class DiscardCopy:
    """Remove everything from a staging directory but sentinel and download."""

    path: str

    def __str__(self) -> str:
        return f"take over {self.path}"


@dataclass(frozen=True, slots=True)
class Download:
    """Download a commit into a directory with the layout of the Hub's cache, keeping what is there already.

    First of all the sentinel stops calling the download complete.

    Attributes:
        size: bytes still to come, or None when that is not known.
        resumes: something is there already.
    """

    repo: str
    commit: str
    into: str
    size: int | None
    resumes: bool

    def __str__(self) -> str:
        verb = "resume downloading" if self.resumes else "download"
        size = "" if self.size is None else f", {human_size(self.size)}"
        return f"{verb} {self.repo} at {self.commit[:12]}{size}"


@dataclass(frozen=True, slots=True)
class MarkComplete:
    """Note in the sentinel that the download of a commit is complete."""

    path: str
    commit: str

    def __str__(self) -> str:
        return "note that the download is complete"


@dataclass(frozen=True, slots=True)
class CopyTree:
    """Copy a snapshot, links resolved, copy-on-write where the volume can."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"copy {self.source}, copy-on-write where the disk allows it"


@dataclass(frozen=True, slots=True)
class Assess:
    """Look how healthy the copy is. Information, not a gate: people clone models to repair them."""

    path: str

    def __str__(self) -> str:
        return "check the health of the copy"


@dataclass(frozen=True, slots=True)
class WriteManifest:
    """Give the copy its manifest."""

    path: str
    repo: str
    commit: str

    def __str__(self) -> str:
        return "write the manifest"


@dataclass(frozen=True, slots=True)
class Publish:
    """Note in the sentinel that this is about to happen, then rename the copy to the target."""

    copy: str
    target: str

    def __str__(self) -> str:
        return f"move the copy to {self.target}"


@dataclass(frozen=True, slots=True)
class RemoveStaging:
    """Remove the staging directory, its sentinel last."""

    path: str

    def __str__(self) -> str:
        return f"remove {self.path}"


Step: TypeAlias = (
    DiscardStaging
    | CreateStaging
    | DiscardCopy
    | Download
    | MarkComplete
    | CopyTree
    | Assess
    | WriteManifest
    | Publish
    | RemoveStaging
)
