"""What the Hub holds: models with commits, branches and files, and who may see them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


def git_blob_sha1(data: bytes) -> str:
    """The git object id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Content:
    """A file: its bytes, and what the Hub says of it where that is not the truth.

    Attributes:
        lfs: kept in LFS, so that its digest is a sha256 and a download is sent to the CDN.
        listed_size: the size in listings, when the Hub lies.
        listed_digest: the digest in listings and tags, when the Hub lies.
        xet_hash: as listings give it for files in Xet storage.
    """

    data: bytes
    lfs: bool = False
    listed_size: int | None = None
    listed_digest: str | None = None
    xet_hash: str | None = None
    sha256: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    @property
    def pointer(self) -> bytes:
        """The LFS pointer that git holds instead of the content."""
        return _POINTER.format(self.sha256, len(self.data)).encode()

    @property
    def size(self) -> int:
        """The size that listings give."""
        return len(self.data) if self.listed_size is None else self.listed_size

    @property
    def oid(self) -> str:
        """The git object id that listings give."""
        if self.lfs:
            return git_blob_sha1(self.pointer)
        return self.listed_digest or git_blob_sha1(self.data)

    @property
    def etag(self) -> str:
        """What the cache names the content by."""
        return (self.listed_digest or self.sha256) if self.lfs else self.oid


class Access(Enum):
    """Who may have a repository."""

    PUBLIC = "everyone"
    PRIVATE = "its readers; others do not learn that it exists"
    GATED = "everyone may look, its readers may download"
    DISABLED = "nobody"


@dataclass
class Repository:
    """A model: commits by hash, and what branches and tags stand for.

    Attributes:
        readers: names of the users who may download it when it is not public.
        writers: names of the users who may push, besides the one whose it is.
        log: the messages of its commits.
    """

    name: str
    access: Access = Access.PUBLIC
    readers: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()
    log: list[str] = field(default_factory=list)
    commits: dict[str, Mapping[str, Content]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, Content], branch: str = "main") -> str:
        """Let a branch hold exactly these files; returns the new commit."""
        parent = self.refs.get(branch, "")
        listing = "".join(f"{path!r}{content.etag}" for path, content in sorted(files.items()))
        number = hashlib.sha1(f"{self.name}{parent}{listing}".encode(errors="replace")).hexdigest()
        self.commits[number] = dict(files)
        self.refs[branch] = number
        return number

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, tag or commit stands for."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def is_writable(self, user: str | None) -> bool:
        """Whether a user may push."""
        return user is not None and (user == self.name.partition("/")[0] or user in self.writers)


@dataclass
class Repositories:
    """All models, and the users by token.

    Attributes:
        read_only: tokens that may not write.
        objects: contents in LFS by sha256.
    """

    models: dict[str, Repository] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    read_only: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)

    def clear(self) -> None:
        """Nothing and nobody."""
        for held in (self.models, self.users, self.read_only, self.objects):
            held.clear()

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | Content],
        access: Access = Access.PUBLIC,
        readers: frozenset[str] = frozenset(),
    ) -> Repository:
        """A model with one commit on `main`; `*.safetensors` and `*.gguf` given as bytes are kept in LFS."""
        repository = Repository(name, access, readers)
        repository.commit(
            {
                path: data
                if isinstance(data, Content)
                else Content(data, lfs=path.endswith((".safetensors", ".gguf")))
                for path, data in files.items()
            }
        )
        self.models[name] = repository
        return repository
