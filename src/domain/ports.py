"""What the use cases need from the world, as small protocols that adapters implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlxk.domain.verification import Trust

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlxk.domain.clone_plan import TargetState
    from mlxk.domain.clone_steps import CopyMethod
    from mlxk.domain.compatibility import Runtimes
    from mlxk.domain.consent import Consent
    from mlxk.domain.convert_plan import Destination, Engine
    from mlxk.domain.generation import Delta, Finish, GenerationRequest
    from mlxk.domain.hub import FetchResult, HubFile, Missing, RepoInfo
    from mlxk.domain.manifest import Manifest, Origin, Refusal
    from mlxk.domain.memory import MemoryFacts
    from mlxk.domain.model import FileFact, ModelRecord, SnapshotFacts, WorkspaceState
    from mlxk.domain.naming import RepoId
    from mlxk.domain.push_plan import PushHistory, PushPlan, RemoteRepo, Uploaded, Visibility
    from mlxk.domain.quantization import Packing
    from mlxk.domain.removal import Removal, RepoContents
    from mlxk.domain.staging import Sentinel, StagingState
    from mlxk.domain.tensors import TensorFact
    from mlxk.domain.verification import Digest, FileVerdict

__all__ = [
    "BatchingTextModel",
    "BatchingTextRuntime",
    "CacheFetcher",
    "CacheRemover",
    "CloneTargets",
    "Confirmer",
    "Destinations",
    "FactReader",
    "FileProgress",
    "Host",
    "Hub",
    "HubUploader",
    "IndexBuilder",
    "KnownDigests",
    "ModelStore",
    "Prepared",
    "Progress",
    "PushFolders",
    "Quantizer",
    "Staging",
    "TensorReader",
    "TextModel",
    "TextRuntime",
    "TreeCopier",
    "Verifier",
    "WorkspaceIntegrity",
    "WorkspaceStore",
]


class ModelStore(Protocol):
    """A place with models: the Hugging Face cache, the workspace home, the bundled models."""

    def records(self) -> Sequence[ModelRecord]:
        """Every model of this place, sorted by name; one broken model never hides another.

        A place that does not exist holds nothing.

        Raises:
            MlxkError: (`PERMISSION`) the place itself cannot be read, or is no directory.
        """

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:
        """The other revisions of a record's model that are here, each as a record; may be empty."""

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """The record for a branch, tag or commit prefix (3 hex digits or more) of the same model.

        Raises:
            ModelNotFound: no such revision here; the hint names those that are.
            AmbiguousMatch: two commits begin with it.
        """


class WorkspaceStore(ModelStore, Protocol):
    """The workspace home, and workspaces anywhere by explicit path."""

    def record_at(self, path: str) -> ModelRecord:
        """The model in a directory, given as typed (`./x`, `~/x`, `/x`); a relative path is remembered.

        Raises:
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is no directory, or no model in it; (`PERMISSION`) it
                cannot be read.
        """

    def under(self, prefix: str) -> Sequence[ModelRecord]:
        """The workspaces whose path begins with a prefix, names in the form they were asked for.

        A directory lists the workspaces in it, or is one itself.
        """


class WorkspaceIntegrity(Protocol):
    """Tells whether workspaces still hold what their manifests recorded, and records it."""

    def state(self, workspace: Path) -> WorkspaceState:
        """What a workspace's manifest says of it, compared with what is there. Never raises for bad data.

        Files that were only touched are read once and noted in the manifest; nothing else is written.
        """

    def recorded(self, workspace: Path) -> Manifest | Refusal:
        """What a workspace's manifest says, unchecked, or why there is none. Never raises for bad data."""

    def remember_digests(self, workspace: Path, known: Manifest, digests: Mapping[str, str]) -> None:
        """Add the sha256 (64 hex) of weight files, by path, to the manifest, where it still is the one known.

        Those of files that are not as they were recorded are left out. Where the manifest cannot be written,
        nothing is remembered.
        """

    def pin(self, workspace: Path) -> Manifest:
        """Make what a managed workspace holds now its clean state.

        Raises:
            InvalidInput: it has no manifest.
            MlxkError: (`OPERATION`) something in it cannot be hashed; (`PERMISSION`, `INSUFFICIENT_DISK`)
                the manifest cannot be written. The old manifest stays.
        """

    def found(self, workspace: Path, origin: Origin) -> Manifest:
        """Give a directory just made its first manifest, with what it holds as its clean state.

        One that cannot be hashed gets a manifest without content hash: damaged models are cloned to be
        repaired.

        Raises:
            MlxkError: (`PERMISSION`, `INSUFFICIENT_DISK`) the manifest cannot be written.
        """


class TreeCopier(Protocol):
    """Copies a directory tree; cheap where the volume can share blocks."""

    def copy(
        self, source: Path, target: Path, *, progress: Progress, without: frozenset[str] = frozenset()
    ) -> CopyMethod:
        """Copy `source` to `target`, which must not exist; links become the files they lead to.

        What has its path (relative, POSIX) in `without` is left out, directories too, and not looked at.

        The copy is the user's to edit: files can be written to, and keep their mode otherwise and their
        modification times; holes stay holes where the volume has them. `target` appears in one step, whole.
        Where anything fails, and on an interruption, nothing is left behind.

        Returns:
            How the files were copied; where several ways were needed, the costliest of them.

        Raises:
            MlxkError: (`INSUFFICIENT_DISK`) the disk is full; (`INVALID_TARGET`) the target exists, lies in
                the source, or its parent does not exist; (`CLONE_FAILED`) anything else, such as a link of
                the source that leads nowhere or out of the model.
        """


class CloneTargets(Protocol):
    """The places where clones go."""

    def absolute(self, name: str, given: str | None) -> str:
        """The absolute path for a clone of a model; `given` as typed, or None. See `target_path`.

        Raises:
            InvalidInput: the text can be no path.
            MlxkError: (`INVALID_TARGET`) it can be none on this machine: too long, of a user who does not
                exist, or relative to a working directory that is gone.
        """

    def look(self, target: str, source: str | None = None) -> TargetState:
        """What is there, and whether it lies in the directory that is cloned. Nothing is changed."""

    def free_bytes(self, target: str) -> int | None:
        """Bytes that may still be written beside it; None where that cannot be known."""


class Staging(Protocol):
    """Staging directories, each under the path that `staging_path` gives it.

    A process may be killed at any moment: what it leaves is ours by its sentinel, or empty. Only what is
    ours is ever changed or removed; every method that changes something, but `claimed`, wants it claimed
    first, and raises MlxkError (`CLONE_FAILED`) for what is not ours.
    """

    def look(self, path: str) -> Sentinel | StagingState:
        """What is there: a sentinel, or `NONE`, `BUSY` or `FOREIGN`. Nothing is changed."""

    def has_copy(self, path: str) -> bool:
        """Whether the copy in the making is there."""

    def has_download(self, path: str) -> bool:
        """Whether anything of a download is there."""

    def unfinished(self, target: str) -> Sequence[str]:
        """Our staging directories of clones to a target, of whatever model, that no process works in."""

    def sweep(self, path: str) -> None:
        """Remove what a process killed in its first or last moment left: a directory with nothing in it."""

    def claimed(self, path: str) -> AbstractContextManager[None]:
        """Inside, no other process works in the directory, which is made where it does not exist.

        One that is still empty at the end is removed.

        Raises:
            MlxkError: (`CLONE_FAILED`) another process works in it, or it cannot be made.
        """

    def create(self, path: str, spec: str, target: str) -> None:
        """Make the directory, which may exist empty, ours."""

    def clear(self, path: str) -> None:
        """Remove everything but sentinel and download."""

    def mark_downloading(self, path: str) -> None:
        """Note that the download is not complete (any more)."""

    def mark_complete(self, path: str, commit: str) -> None:
        """Note that the download of a commit is complete."""

    def publish(self, path: str, target: str) -> None:
        """Note that it is about to happen, then rename the finished copy to the target.

        Raises:
            MlxkError: (`INVALID_TARGET`) the target is there by now, and no empty directory; the copy stays.
        """

    def discard(self, path: str) -> None:
        """Remove the directory; from the first moment on its download no longer counts as complete."""

    def remove(self, path: str) -> None:
        """Remove the directory, its sentinel last."""


class FactReader(Protocol):
    """Looks into one model directory."""

    def facts(self, record: ModelRecord) -> SnapshotFacts:
        """Gather facts in one tolerant scan, without reading weights. Never raises for bad data."""


class TensorReader(Protocol):
    """Reads what the headers of weight files say of their tensors."""

    def tensors(self, file: Path) -> Mapping[str, TensorFact]:
        """The tensors of one safetensors file by name; none where its header cannot be read."""


class KnownDigests(Protocol):
    """Knows digests of files that need not be read for it."""

    def known(self, record: ModelRecord, file: FileFact) -> Digest | None:
        """The digest that the cache or a workspace's manifest states of a file, or None."""


class IndexBuilder(Protocol):
    """Writes the weight index of a model."""

    def build(self, directory: Path, shards: Sequence[str], progress: Progress) -> None:
        """Write `model.safetensors.index.json` from the headers of the shards, in one step.

        Raises:
            MlxkError: (`OPERATION`) a header cannot be read, or two shards hold the same tensor;
                (`INSUFFICIENT_DISK`, `PERMISSION`) it cannot be written.
        """


class Quantizer(Protocol):
    """Makes weights anew in another format; writes weights, their index and config.json."""

    def quantize(
        self, source: Path, target: Path, engine: Engine, packing: Packing, progress: Progress
    ) -> Mapping[str, str]:
        """Write the model in `source` to the directory `target`, which exists, in fewer bits.

        Returns:
            The versions of the packages that did it.

        Raises:
            MlxkError: (`NOT_IMPLEMENTED`) its architecture is unknown or needs code of its own;
                (`OPERATION`) its weights do not fit its config; (`VALIDATION`) no layer can be packed so;
                (`INSUFFICIENT_DISK`, `PERMISSION`) it cannot be written.
        """

    def dequantize(self, source: Path, target: Path, engine: Engine, progress: Progress) -> Mapping[str, str]:
        """The same with packed weights opened."""


class Destinations(Protocol):
    """Looks at where a workspace shall be made."""

    def absolute(self, given: str) -> str:
        """The absolute path of a target as typed; see `CloneTargets.absolute` for what it raises."""

    def look(self, target: str, source: str) -> Destination:
        """What is at an absolute path, and how it lies to the directory of the source; changes nothing."""


class Verifier(Protocol):
    """Hashes files, remembering in receipts what was already hashed."""

    def verify(
        self, record: ModelRecord, files: Sequence[tuple[FileFact, Digest]], progress: Progress
    ) -> Iterator[FileVerdict]:
        """Compare each file's content with its expected digest, in order; `NO_DIGEST` compares with nothing.

        A file whose size and modification time match its receipt is not read again. Interrupting keeps
        the receipts of the files that were finished.
        """


class Progress(Protocol):
    """Hears how far long work is; the CLI draws it, the tests record it."""

    def start(self, phase: str, total: int) -> None:
        """Work of `total` bytes begins; 0 where nobody can say how much it is."""

    def advance(self, file: str, count: int) -> None:
        """`count` more bytes of `file` are done; a negative count takes back what must be done again."""

    def finish(self) -> None:
        """The work is over, finished or not."""


class FileProgress(Progress, Protocol):
    """Progress that also knows how large each file is, to tell which are on their way."""

    def expect(self, sizes: Mapping[str, int]) -> None:
        """The files of the work that starts next, by path, in bytes."""


class Confirmer(Protocol):
    """Asks the user before something that cannot be taken back, or that takes long."""

    def __call__(self, question: str, /) -> Consent:
        """The answer to a question that yes or no answers."""


class Hub(Protocol):
    """The Hugging Face Hub, or a server that speaks like it."""

    def describe(self, repo_id: RepoId, revision: str) -> RepoInfo:
        """What a branch, tag or commit of a model holds, with sizes and digests; names are checked.

        Answers within seconds or fails.

        Raises:
            InvalidInput: the revision cannot be one.
            ModelNotFound: the model has no such revision.
            MlxkError: (`REPO_NOT_FOUND`) there is no such model, or it is hidden from this token;
                (`ACCESS_DENIED`) private and not logged in, or disabled; (`AUTH`) the token is not valid;
                (`NETWORK`) offline, unreachable, too slow or out of order; (`DOWNLOAD_FAILED`) the file list
                cannot be used.
        """

    def check_access(self, repo_id: RepoId) -> None:
        """See that this user may download a model's files; needed where `RepoInfo.gated`.

        Raises:
            MlxkError: (`ACCESS_DENIED`) the terms are not accepted, or not under this login; the hint says
                where; and what `describe` raises.
        """


class HubUploader(Protocol):
    """The writing side of the Hub, under the user's token.

    Every method raises MlxkError: (`AUTH`) there is no token, or the Hub does not know it; (`ACCESS_DENIED`)
    it may not write there; (`NETWORK`) the Hub could not be asked; and what its own text says.
    """

    def check_token(self, repo_id: RepoId) -> None:
        """See that there is a token to push with: one the Hub knows, and not for reading only."""

    def url(self, repo_id: RepoId) -> str:
        """Address of a repository's page."""

    def look(self, repo_id: RepoId) -> RemoteRepo | None:
        """A repository and its branches as they are now; None if there is none that this token may see."""

    def create_repo(self, repo_id: RepoId, visibility: Visibility) -> None:
        """Make a repository with a branch `main`; one that exists already stays as it is."""

    def create_branch(self, repo_id: RepoId, branch: str) -> None:
        """Make a branch that begins where `main` is; one that exists already stays as it is."""

    def upload(
        self, folder: Path, repo_id: RepoId, branch: str, plan: PushPlan, parent: str | None, message: str
    ) -> Uploaded:
        """Carry out a plan on a branch.

        Contents that arrived stay on the Hub when a later one fails, and are not sent again by the next
        try; the branch changes at the end.

        Args:
            parent: the commit the plan was made for; None not to insist on it.
            message: the commit's.

        Raises:
            ModelNotFound: the Hub knows no such branch (yet).
            MlxkError: (`UPLOAD_FAILED`) the connection or the Hub failed on the way, try again;
                (`PUSH_FAILED`) the Hub refuses these files, or the branch is not at `parent` any more;
                (`REPO_NOT_FOUND`) the repository is gone.
        """


class PushFolders(Protocol):
    """Folders to be pushed."""

    def find(self, typed: str) -> ModelRecord:
        """The folder that a person typed, as a path or as the name of a workspace.

        Raises:
            InvalidInput: it lies in the model cache, holds what is nobody's model (the cache, tokens, a home
                directory), or is no directory.
            MlxkError: (`WORKSPACE_NOT_FOUND`) there is none; (`PERMISSION`) it cannot be read.
        """

    def ignored(self, folder: Path, paths: Iterable[str]) -> Collection[str]:
        """Those of the paths, of local or remote files, that the ignore rules of a folder match.

        Raises:
            InvalidInput: its `.hfignore` cannot be used; the message says why.
        """

    def folder_links(self, folder: Path) -> Sequence[str]:
        """Links below a folder that lead to folders, wherever these are; paths relative to it, sorted."""

    def history(self, folder: Path) -> PushHistory:
        """The commits a folder is built on, as its manifest says; an empty one without a manifest."""

    def note_pushed(self, folder: Path, commit: str) -> None:
        """Let a folder's manifest, if it has one, say that this commit holds what the folder holds.

        Raises:
            MlxkError: (`PERMISSION`) the manifest cannot be written; the old one stays.
        """

    def text(self, folder: Path, path: str) -> str:
        """What a small file holds, as far as it is text; empty where it cannot be read."""


class CacheFetcher(Protocol):
    """Brings one cache directory to what a Hub describes, byte by byte where an earlier try stopped."""

    def missing(self, info: RepoInfo) -> Missing:
        """What the cache lacks of a repository; looks at sizes, reads no content, asks no network."""

    def remembered(self, repo_id: RepoId, revision: str) -> RepoInfo | None:
        """What the Hub said of a revision when it was last downloaded; None if nothing was kept."""

    def is_fetching(self, info: RepoInfo) -> bool:
        """Whether another process downloads a file of a repository at this moment."""

    def free_bytes(self) -> int:
        """Bytes that may still be written to the cache's volume."""

    def fetch(
        self, info: RepoInfo, files: Sequence[HubFile], progress: Progress, trust: Trust = Trust.SIZE
    ) -> FetchResult:
        """Download the given files of a repository, verify each, and put everything in its place.

        A content that is already there is only downloaded again when it fails what `trust` asks of it. The
        snapshot and its ref appear when nothing of `info` is missing any more. Another process that fetches
        the same file is waited for. `KeyboardInterrupt` passes through within a second; what was received
        stays for the next try.

        Raises:
            MlxkError: (`DOWNLOAD_FAILED`) a file is not what the Hub promised, or is gone; (`NETWORK`) the
                connection stayed lost; (`ACCESS_DENIED`, `AUTH`) the Hub refused a file;
                (`INSUFFICIENT_DISK`) before the first byte where it can be known; (`PERMISSION`) the cache
                cannot be written.
        """


class CacheRemover(Protocol):
    """Deletes from one cache directory, and never anything outside a model's own directory there."""

    def directories(self) -> Sequence[ModelRecord]:
        """Every model's directory, also one that no model is in any more since it was deleted in part."""

    def contents(self, record: ModelRecord) -> RepoContents:
        """What there is of a record's model; broken links are no problem.

        Raises:
            MlxkError: (`PERMISSION`) it cannot be read; (`OPERATION`) the record is not of this cache.
        """

    def alone(self, record: ModelRecord) -> AbstractContextManager[tuple[str, ...]]:
        """Keep downloads of the record's model from beginning, within a `with` block.

        It gives the lock files that another process holds, relative to the cache: with any, nothing may be
        deleted.
        """

    def remove(self, record: ModelRecord, removal: Removal) -> None:
        """Delete what was planned, with the locks that belong to it; what is gone already is no problem.

        Interrupted or failed, it has deleted a part; the next call deletes the rest.

        Raises:
            MlxkError: (`PERMISSION`) something cannot be deleted; the message says what; (`LOCKS_PRESENT`)
                another program writes to the model at this moment.
        """


class Host(Protocol):
    """This machine: its memory and the runtimes installed on it."""

    def memory(self) -> MemoryFacts:
        """Physical and available memory now."""

    def runtimes(self) -> Runtimes:
        """What the installed runtimes support, read without importing them."""


class TextModel(Protocol):
    """A loaded text model. Owned by one thread: the one that loaded it."""

    @property
    def context_length(self) -> int | None:
        """Tokens the model was made for, or None when its config does not say."""

    @property
    def has_chat_template(self) -> bool:
        """Whether conversations can be rendered."""

    def count_prompt_tokens(self, request: GenerationRequest) -> int:
        """Tokens of the rendered prompt."""

    def generate(self, request: GenerationRequest) -> Generator[Delta, None, None]:
        """Generate one answer, delta by delta, ending with a `Finish`.

        Closing the generator early stops the generation within one token and leaves the model clean.

        Raises:
            InvalidInput: the prompt does not fit the context; the message has both numbers.
        """

    def close(self) -> None:
        """Free the model. Safe to call twice."""


class Prepared(Protocol):
    """A request that was rendered and checked, ready for `BatchingTextModel.submit`."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the rendered prompt."""

    @property
    def max_tokens(self) -> int:
        """Most tokens this generation can have."""


class BatchingTextModel(TextModel, Protocol):
    """A text model that works on many generations at once.

    `prepare` and `kv_bytes` may be called from any one thread besides; everything else only from the
    thread that loaded the model.
    """

    @property
    def max_batch(self) -> int:
        """Generations that run at once; more wait inside. 1 for families that cannot be batched."""

    @property
    def active(self) -> int:
        """Generations that have not finished, those that wait for a place in the batch among them."""

    @property
    def prompt_cache_nbytes(self) -> int:
        """Bytes of computed prompts kept for later requests."""

    @property
    def running_nbytes(self) -> int:
        """Bytes of the caches of the generations in progress."""

    def kv_bytes(self, tokens: int) -> int:
        """Bytes that the caches of one generation take once they hold this many tokens."""

    def prepare(self, request: GenerationRequest, *, default_limit: int | None) -> Prepared:
        """Render and check a request.

        Args:
            default_limit: most tokens to generate when the request does not say; None leaves it to the
                context.

        Raises:
            InvalidInput: the prompt cannot be rendered or does not fit the context, a JSON schema cannot
                be compiled, or a biased token is not in the vocabulary.
            MlxkError: (`NOT_IMPLEMENTED`) tools for a model that cannot call any.
        """

    def submit(self, prepared: Prepared) -> int:
        """Accept a generation; `step` works on it.

        Returns:
            The handle that its deltas come with.
        """

    def step(self) -> Sequence[tuple[int, Delta]]:
        """Compute one token of every running generation, or one piece of prompt, and give what came of it.

        Raises:
            MlxkError: the model failed; every generation in progress is gone and the model is clean.
        """

    def cancel(self, handle: int) -> Finish | None:
        """Stop a generation now; its last delta, or None when it had finished (or never was)."""

    def trim_prompt_cache(self, max_bytes: int) -> None:
        """Forget the least recently used computed prompts until no more than this many bytes are kept."""


class BatchingTextRuntime(Protocol):
    """Loads text models for a server."""

    def load(self, path: Path) -> BatchingTextModel:
        """As `TextRuntime.load`."""


class TextRuntime(Protocol):
    """Loads text models."""

    def load(self, path: Path) -> TextModel:
        """Load the model in a directory.

        Raises:
            MlxkError: (`NOT_IMPLEMENTED`) the architecture is unknown here, (`OPERATION`) the weights do
                not fit the config or the tokenizer cannot be read.
        """
