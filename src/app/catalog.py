"""All models of this machine, and from what a person typed to those that are meant."""

from collections.abc import Sequence

from mlxk.domain.model import ModelRecord
from mlxk.domain.naming import NameSpec, PathSpec, parse_spec
from mlxk.domain.ports import ModelStore, WorkspaceStore
from mlxk.domain.resolution import exactly, matching, resolve

__all__ = ["Catalog"]


class Catalog:
    """The cache, the workspaces and the bundled models as one.

    Args:
        cache: the Hugging Face cache.
        workspaces: the workspace home, and workspaces anywhere by path.
        bundled: the models that ship with mlxk.
    """

    def __init__(self, cache: ModelStore, workspaces: WorkspaceStore, bundled: ModelStore) -> None:
        self._cache = cache
        self._workspaces = workspaces
        self._bundled = bundled

    def records(self) -> Sequence[ModelRecord]:
        """Every model: the workspace home's, the cache's, the bundled ones.

        Raises:
            MlxkError: (`PERMISSION`) a place cannot be read.
        """
        return [*self._workspaces.records(), *self._cache.records(), *self._bundled.records()]

    def find(self, text: str) -> ModelRecord:
        """The one model that a path or `name[@revision]` means.

        Raises:
            InvalidInput: the text cannot be a name or path.
            ModelNotFound: nothing answers to it (`WORKSPACE_NOT_FOUND` for a path).
            AmbiguousMatch: several models do.
        """
        spec = parse_spec(text)
        if isinstance(spec, PathSpec):
            return self._workspaces.record_at(spec.path)
        record = resolve(spec, self.records())
        return record if spec.revision is None else self.at_revision(record, spec.revision)

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """A cached model at a branch, tag, commit or commit prefix.

        Raises:
            ModelNotFound: it has no such revision here.
            AmbiguousMatch: several commits begin with it.
        """
        return self._cache.at_revision(record, revision)

    def matching(self, pattern: str | None) -> Sequence[ModelRecord]:
        """The models whose name contains the pattern, or workspaces under a path; all without a pattern.

        A pattern with a revision (`name@rev`) means that one revision.

        Raises:
            InvalidInput: the pattern cannot be a name or path.
        """
        if pattern is None:
            return self.records()
        spec = parse_spec(pattern)
        match spec:
            case PathSpec(path):
                return self._workspaces.under(path)
            case NameSpec(name, None):
                return matching(name, self.records())
            case _:
                return [self.find(pattern)]

    def named_or_matching(self, pattern: str | None) -> Sequence[ModelRecord]:
        """As `matching`, but the model of exactly that name alone when there is one: for what changes models.

        Raises:
            InvalidInput: the pattern cannot be a name or path.
        """
        spec = None if pattern is None else parse_spec(pattern)
        named = exactly(spec, self.records()) if isinstance(spec, NameSpec) and not spec.revision else []
        return named or self.matching(pattern)
