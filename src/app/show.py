"""`mlxk show`: everything about one model."""

from dataclasses import dataclass
from pathlib import Path

from mlxk.app.catalog import Catalog
from mlxk.app.inspection import InspectedModel, Inspector, finding_entries, view
from mlxk.app.results import FileEntry, MetadataView, ShowResult
from mlxk.domain.capabilities import config_number
from mlxk.domain.errors import InvalidInput
from mlxk.domain.files import role_of
from mlxk.domain.model import FileFact, Source
from mlxk.domain.ports import WorkspaceIntegrity
from mlxk.domain.sizes import human_size

__all__ = ["Show", "ShowRequest"]


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """Which model, and whether with its file list and its config.json.

    Attributes:
        recalc_hash: first make what a workspace holds now its clean state.
    """

    model: str
    files: bool = False
    config: bool = False
    recalc_hash: bool = False


class Show:
    """Shows one model."""

    def __init__(self, catalog: Catalog, inspector: Inspector, integrity: WorkspaceIntegrity) -> None:
        self._catalog = catalog
        self._inspector = inspector
        self._integrity = integrity

    def __call__(self, request: ShowRequest) -> ShowResult:
        """Look the model up and tell what is known of it.

        Raises:
            MlxkError: the name is invalid, unknown or ambiguous; or there is no hash to renew, or it cannot
                be.
        """
        if request.recalc_hash:
            self._pin(request.model)
        model = self._inspector(self._catalog.find(request.model))
        return ShowResult(
            model=view(model),
            path=model.record.path,
            metadata=_metadata(model),
            findings=finding_entries(model.health.findings),
            files=tuple(_entry(file) for file in model.facts.files) if request.files else None,
            config=dict(model.facts.config()) if request.config else None,
        )

    def _pin(self, name: str) -> None:
        record = self._catalog.find(name)
        if record.source is not Source.WORKSPACE:
            raise InvalidInput(
                f"'{record.name}' is no workspace: only workspaces have a recorded state.",
                hint=f"`mlxk clone {record.name}` makes one",
            )
        self._integrity.pin(Path(record.path))


def _metadata(model: InspectedModel) -> MetadataView | None:
    config = model.facts.config()
    if not config:
        return None
    quantization = model.description.quantization
    return MetadataView(
        model_type=model.description.architecture,
        quantization=f"{quantization.bits}bit" if quantization else None,
        context_length=model.description.context_length,
        vocab_size=config_number(config, "vocab_size"),
        hidden_size=config_number(config, "hidden_size"),
        num_attention_heads=config_number(config, "num_attention_heads"),
        num_hidden_layers=config_number(config, "num_hidden_layers"),
    )


def _entry(file: FileFact) -> FileEntry:
    return FileEntry(file.path, human_size(file.size), role_of(file.path).value, file.size)
