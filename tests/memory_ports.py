"""The ports in memory, for tests of use cases; each passes the contract in `tests/contract/ports`."""

import hashlib
import os.path
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlxk.domain.compatibility import RuntimePackage, Runtimes
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.memory import MemoryFacts
from mlxk.domain.model import FileFact, ModelRecord, SnapshotFacts, Source, WorkspaceState
from mlxk.domain.naming import directory_of, is_commit_prefix
from mlxk.domain.ports import Progress
from mlxk.domain.verification import NO_DIGEST, Digest, DigestKind, FileVerdict, Outcome

__all__ = [
    "FixedHost",
    "MemoryFactReader",
    "MemoryModelStore",
    "MemoryVerifier",
    "MemoryWorkspaceStore",
    "ProgressRecorder",
    "Repository",
    "digest_of",
]

MLX_LM = RuntimePackage("mlx-lm", "0.32.2", frozenset({"llama", "qwen2", "qwen3"}))
WITH_MLX_LM = Runtimes(MLX_LM)
LAPTOP = MemoryFacts(total=16 * 1024**3, available=8 * 1024**3)


@dataclass(frozen=True)
class Repository:
    """One repository of a store: its commits, newest first, and what its refs name."""

    name: str
    commits: Sequence[str]
    refs: Mapping[str, str] = field(default_factory=dict)


class MemoryModelStore:
    """A cache in memory; `unreadable` makes it one that the system does not let in."""

    def __init__(self, *repositories: Repository, unreadable: bool = False) -> None:
        self._repositories = {repository.name: repository for repository in repositories}
        self._unreadable = unreadable

    def remove(self, name: str) -> None:
        """Delete a repository, as a person may at any time."""
        del self._repositories[name]

    def records(self) -> Sequence[ModelRecord]:
        if self._unreadable:
            raise MlxkError(
                ErrorKind.PERMISSION, "The model cache cannot be read.", hint="check its permissions"
            )
        found = [self._current(self._repositories[name]) for name in sorted(self._repositories)]
        return [record for record in found if record]

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:
        repository = self._repositories[record.name]
        return [_record(repository, commit) for commit in repository.commits if commit != record.revision]

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        repository = self._repositories[record.name]
        if revision in repository.refs:
            fitting = [commit for commit in repository.commits if commit == repository.refs[revision]]
        else:
            fitting = [
                commit
                for commit in repository.commits
                if commit == revision
                or (is_commit_prefix(revision.lower()) and commit.startswith(revision.lower()))
            ]
        if len(fitting) > 1:
            raise AmbiguousMatch(f"Revision '{revision}' fits several commits.", matches=sorted(fitting))
        if not fitting:
            names = [ref for ref, commit in repository.refs.items() if commit in repository.commits]
            known = ", ".join([*sorted(names), *(commit[:12] for commit in repository.commits)])
            raise ModelNotFound(f"Revision '{revision}' is not in the cache.", hint=f"here are {known}")
        return _record(repository, fitting[0])

    def _current(self, repository: Repository) -> ModelRecord | None:
        main = repository.refs.get("main")
        commits = [main] if main in repository.commits else repository.commits
        return _record(repository, str(commits[0])) if commits else None


def _record(repository: Repository, commit: str) -> ModelRecord:
    path = f"/memory/{directory_of(repository.name)}/snapshots/{commit}"
    return ModelRecord(repository.name, path, Source.CACHE, revision=commit)


class MemoryWorkspaceStore:
    """Workspaces in memory.

    Args:
        home: the workspace home, or None.
        workspaces: absolute paths of workspaces.
        directories: absolute paths of directories that are none.
        working_directory: where relative paths begin.
    """

    def __init__(
        self,
        home: str | None = None,
        workspaces: Sequence[str] = (),
        directories: Sequence[str] = (),
        working_directory: str = "/",
    ) -> None:
        self._home = home
        self._workspaces = set(workspaces)
        self._directories = set(directories)
        self._working_directory = working_directory

    def records(self) -> Sequence[ModelRecord]:
        return self._children(self._home) if self._home else ()

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:
        return ()

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        raise ModelNotFound(f"'{record.name}' is a workspace.", hint="leave out the revision")

    def record_at(self, path: str) -> ModelRecord:
        absolute = self._absolute(path)
        if absolute not in self._workspaces:
            raise MlxkError(
                ErrorKind.WORKSPACE_NOT_FOUND, f"'{path}' holds no model.", hint="give its directory"
            )
        return _workspace(absolute, _display(path))

    def under(self, prefix: str) -> Sequence[ModelRecord]:
        absolute, shown = self._absolute(prefix), _display(prefix)
        if absolute in self._workspaces:
            return [_workspace(absolute, shown)]
        if absolute in self._directories:
            return self._children(absolute, shown)
        parent = str(PurePosixPath(absolute).parent)
        found = self._children(parent, shown and (shown.rpartition("/")[0] or "."))
        return [record for record in found if record.path.startswith(absolute)]

    def _absolute(self, typed: str) -> str:
        return os.path.normpath(f"{self._working_directory}/{typed}" if typed[0] != "/" else typed)

    def _children(self, directory: str, shown: str | None = None) -> list[ModelRecord]:
        found = sorted(path for path in self._workspaces if str(PurePosixPath(path).parent) == directory)
        return [
            _workspace(path, None if shown is None else f"{shown.rstrip('/')}/{PurePosixPath(path).name}")
            for path in found
        ]


def _display(typed: str) -> str | None:
    return None if typed.startswith("/") else typed


def _workspace(path: str, display_name: str | None) -> ModelRecord:
    return ModelRecord(
        path,
        path,
        Source.WORKSPACE,
        display_name=display_name,
        workspace=WorkspaceState(managed=False),
    )


class MemoryFactReader:
    """Facts by the path of a model's directory; what is not known is a directory that cannot be read."""

    def __init__(self, facts: Mapping[str, SnapshotFacts]) -> None:
        self._facts = facts

    def facts(self, record: ModelRecord) -> SnapshotFacts:
        if record.problem is not None:
            return SnapshotFacts(record.name, unreadable=((".", record.problem),))
        gone = SnapshotFacts(record.name, unreadable=((".", "No such file or directory"),))
        return self._facts.get(record.path, gone)


class MemoryVerifier:
    """Hashes contents kept in memory, by path inside the model; `receipts` outlives a verifier."""

    def __init__(self, contents: Mapping[str, bytes], receipts: dict[str, bytes] | None = None) -> None:
        self._contents = contents
        self._receipts = {} if receipts is None else receipts

    def verify(
        self, record: ModelRecord, files: Sequence[tuple[FileFact, Digest]], progress: Progress
    ) -> Iterator[FileVerdict]:
        progress.start("verify", sum(file.size for file, _ in files))
        try:
            for file, expected in files:
                yield self._verdict(file, expected, progress)
        finally:
            progress.finish()

    def _verdict(self, file: FileFact, expected: Digest, progress: Progress) -> FileVerdict:
        content = self._contents.get(file.path)
        if content is None:
            return FileVerdict(file.path, Outcome.UNREADABLE, problem="No such file or directory")
        progress.advance(file.path, len(content))
        known = self._receipts.get(file.path) == content
        self._receipts[file.path] = content
        actual = digest_of(content, expected.kind).value
        outcome = Outcome.MATCHES if actual == expected.value else Outcome.DIFFERS
        outcome = Outcome.NEW if expected == NO_DIGEST else outcome
        return FileVerdict(file.path, outcome, actual, from_receipt=known)


def digest_of(content: bytes, kind: DigestKind) -> Digest:
    """The digest of some content, as a blob's name would state it."""
    if kind is DigestKind.SHA256:
        return Digest(kind, hashlib.sha256(content).hexdigest())
    return Digest(kind, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


class FixedHost:
    """A machine with memory and runtimes of the test's choice; it counts how often it is asked for them."""

    def __init__(
        self,
        memory: MemoryFacts = LAPTOP,
        runtimes: Runtimes = WITH_MLX_LM,
    ) -> None:
        self._memory = memory
        self._runtimes = runtimes
        self.asked_for_runtimes = 0

    def memory(self) -> MemoryFacts:
        return self._memory

    def runtimes(self) -> Runtimes:
        self.asked_for_runtimes += 1
        return self._runtimes


class ProgressRecorder:
    """Keeps what it hears.

    Attributes:
        started: phase and total of every start.
        done: bytes by file.
    """

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.done: dict[str, int] = {}
        self.finished = 0
        self.expected: dict[str, int] = {}

    def expect(self, sizes: Mapping[str, int]) -> None:
        self.expected = dict(sizes)

    def start(self, phase: str, total: int) -> None:
        self.started.append((phase, total))

    def advance(self, file: str, count: int) -> None:
        self.done[file] = self.done.get(file, 0) + count

    def finish(self) -> None:
        self.finished += 1
