"""What a clone is made of: a model of this machine or of the Hub, and at which commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.domain.clone_plan import Cached, CommitSource, Unanswered
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.health import assess, is_incomplete
from mlxk.domain.hub import DEFAULT_REVISION, RepoInfo, is_commit
from mlxk.domain.manifest import Operation, Origin, Refusal, known_tensor_digests
from mlxk.domain.model import Cleanliness, ModelRecord, Source
from mlxk.domain.naming import DEFAULT_ORG, NameSpec, PathSpec, RepoId, is_commit_prefix, parse_spec
from mlxk.domain.ports import CacheFetcher, FactReader, Hub, ModelStore, WorkspaceIntegrity
from mlxk.domain.recorded_digests import untouched_digests
from mlxk.domain.resolution import resolve, short_name, suggestions

__all__ = ["CloneSources", "Commit", "HubModel", "LocalModel"]


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A workspace or the bundled model: it is copied as it is."""

    record: ModelRecord

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.name


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the Hub, which may be in the cache.

    Attributes:
        name: its full id.
        revision: the branch, tag or commit that the user named, or None.
        record: what the cache has of it, or None.
        matches: names of models here that are spelt like it.
    """

    name: str
    revision: str | None
    record: ModelRecord | None
    matches: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """What identifies it among unfinished clones: `org/name[@revision]`."""
        return str(NameSpec(self.name, self.revision))


@dataclass(frozen=True, slots=True)
class Commit:
    """Which commit of a model to clone.

    Attributes:
        number: 40 hex; None when nobody could say.
        snapshot: the cache's directory of it, if it is complete there.
        info: what the Hub says of it; None when it was not asked, or did not answer.
        unanswered: why it did not answer, when that is missed.
    """

    number: str | None
    source: CommitSource
    snapshot: str | None = None
    info: RepoInfo | None = None
    unanswered: Unanswered | None = None


class CloneSources:
    """Finds what to clone.

    Args:
        cache: the model cache, only ever read.
        fetcher_for: makes what can look into a cache directory, and download into one.
        cache_directory: the cache's directory; None when there is not even a place for one.
    """

    def __init__(
        self,
        catalog: Catalog,
        cache: ModelStore,
        reader: FactReader,
        integrity: WorkspaceIntegrity,
        hub: Hub,
        fetcher_for: Callable[[Path], CacheFetcher],
        cache_directory: Path | None,
    ) -> None:
        self._catalog = catalog
        self._cache = cache
        self._reader = reader
        self._integrity = integrity
        self._hub = hub
        self._fetcher_for = fetcher_for
        self._cache_directory = cache_directory

    def find(self, model: str, revision: str | None) -> LocalModel | HubModel:
        """The model that a path, a name of this machine or an id of the Hub means.

        An id with an organisation means that model only; a bare name is looked for here first, as
        everywhere, then on the Hub under `mlx-community`.

        Raises:
            InvalidInput: the text can be neither, or two revisions are given.
            ModelNotFound: a revision of something that has none (`WORKSPACE_NOT_FOUND` for a path).
            AmbiguousMatch: several models here answer to the name.
        """
        spec = parse_spec(model)
        if isinstance(spec, PathSpec):
            if revision is not None:
                raise InvalidInput("A workspace has no revisions.", hint="leave out --revision")
            return LocalModel(self._catalog.find(model))
        if revision is not None and spec.revision not in (None, revision):
            raise InvalidInput(
                f"Two revisions are given: '{spec.revision}' and '{revision}'.", hint="give one of them"
            )
        return self._named(NameSpec(spec.name, revision or spec.revision))

    def _named(self, spec: NameSpec) -> LocalModel | HubModel:
        records = self._catalog.records()
        try:
            record = resolve(spec, records)
        except ModelNotFound:
            if spec.revision and spec.name in map(short_name, records):
                raise
            record = None
        if record is not None and record.source is not Source.CACHE:
            return LocalModel(record)
        if record is not None and ("/" not in spec.name or record.name == spec.name):
            return HubModel(record.name, spec.revision, record)
        matches = suggestions(spec.name, [short_name(known) for known in records])
        name = spec.name if "/" in spec.name else f"{DEFAULT_ORG}/{spec.name}"
        return HubModel(RepoId(name).value, spec.revision, None, tuple(matches))

    # Which commit

    def commit(self, model: HubModel, kept: str | None) -> Commit:
        """The commit to clone: what the user named, else what the Hub says is current.

        Without the Hub it is what the cache calls so, or what an interrupted clone has downloaded.

        Args:
            kept: the commit whose download lies complete in the staging directory.

        Raises:
            MlxkError: the Hub does not have the model or the revision, or does not let this user see it.
        """
        named = model.revision if model.revision and is_commit(model.revision) else None
        if named and (snapshot := self._listed(model, named, None)):
            return Commit(named, CommitSource.USER, snapshot)
        try:
            info = self._hub.describe(RepoId(model.name), model.revision or DEFAULT_REVISION)
        except MlxkError as error:
            return self._without_hub(model, named, kept, error)
        source = CommitSource.USER if named else CommitSource.HUB
        return Commit(info.commit, source, self._listed(model, info.commit, info), info)

    def _without_hub(self, model: HubModel, named: str | None, kept: str | None, error: MlxkError) -> Commit:
        """What is here instead; what the Hub refuses stays refused, unless the user named a commit."""
        prefix = model.revision if model.revision and is_commit_prefix(model.revision) else None
        cached = self._cached(model, model.revision or DEFAULT_REVISION)
        if error.kind is not ErrorKind.NETWORK and not (cached and prefix):
            raise _with_matches(error, model)
        source = CommitSource.USER if prefix else CommitSource.CACHE
        if cached and (snapshot := self._listed(model, cached, None) or self._unlisted(model, cached)):
            return Commit(cached, source, snapshot)
        unanswered = Unanswered(error.message, error.hint, _why_not_cached(model, cached))
        if kept is not None and named in (None, kept):
            return Commit(kept, CommitSource.USER if named else CommitSource.STAGING, unanswered=unanswered)
        return Commit(None, CommitSource.CACHE, unanswered=unanswered)

    def _cached(self, model: HubModel, revision: str) -> str | None:
        found = self._at(model, revision)
        return found.revision if found else None

    def _at(self, model: HubModel, revision: str) -> ModelRecord | None:
        try:
            return self._cache.at_revision(model.record, revision) if model.record else None
        except ModelNotFound:
            return None

    def _listed(self, model: HubModel, commit: str, info: RepoInfo | None) -> str | None:
        """The cache's directory of a commit, if a list of files says that all are there."""
        found = self._at(model, commit)
        if found is None or self._cache_directory is None:
            return None
        fetcher = self._fetcher_for(self._cache_directory)
        listed = info or fetcher.remembered(RepoId(model.name), commit)
        return found.path if listed and fetcher.missing(listed).complete else None

    def _unlisted(self, model: HubModel, commit: str) -> str | None:
        """The cache's directory of a commit, if no list of files is known and none seems to be missing."""
        found = self._at(model, commit)
        if found is None or self._cache_directory is None:
            return None
        if self._fetcher_for(self._cache_directory).remembered(RepoId(model.name), commit):
            return None
        return None if is_incomplete(assess(self._reader.facts(found))) else found.path

    # Where it comes from

    def origin_at(self, model: HubModel, commit: str, snapshot: str) -> Origin:
        """What the manifest of a clone says of a model of the Hub; blobs' names state the digests."""
        record = ModelRecord(model.name, snapshot, Source.CACHE, revision=commit)
        digests = known_tensor_digests(self._reader.facts(record).files)
        return Origin(model.name, commit, Operation.CLONE, digests)

    def origin_of(self, model: LocalModel) -> Origin:
        """What the manifest of a clone says of a model that is no one of the Hub.

        A workspace passes on what its own manifest says; its digests only while it is clean, and only those
        of files that nobody touched. It is looked at anew: the copy was made since it was found.
        """
        if model.record.source is Source.BUNDLED:
            return Origin(model.record.name, None, Operation.CLONE)
        workspace = Path(model.record.path)
        state = self._integrity.state(workspace)  # it notes what was touched, so the manifest comes after
        manifest = self._integrity.recorded(workspace)
        if isinstance(manifest, Refusal):
            return Origin(None, None, Operation.CLONE)
        digests: Mapping[str, str] = {}
        if state.cleanliness is Cleanliness.CLEAN:
            digests = untouched_digests(manifest, self._reader.facts(model.record).files)
        return Origin(manifest.source_repo, manifest.source_revision, Operation.CLONE, digests)

    def repo_of(self, model: LocalModel) -> str | None:
        """The repository that the manifest of a clone names."""
        if model.record.source is Source.BUNDLED:
            return model.record.name
        manifest = self._integrity.recorded(Path(model.record.path))
        return None if isinstance(manifest, Refusal) else manifest.source_repo


def _why_not_cached(model: HubModel, commit: str | None) -> Cached:
    """Why the cache's commit, if it has one, is none to clone."""
    if model.record is None:
        return Cached.NOTHING
    return Cached.OTHER_REVISIONS if commit is None else Cached.DAMAGED


def _with_matches(error: MlxkError, model: HubModel) -> MlxkError:
    if not model.matches or error.kind not in (ErrorKind.REPO_NOT_FOUND, ErrorKind.ACCESS_DENIED):
        return error
    return MlxkError(error.kind, error.message, hint=error.hint, matches=model.matches)
