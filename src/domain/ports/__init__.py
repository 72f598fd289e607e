"""What the use cases need from the world, as small protocols that adapters implement."""

from mlxk.domain.ports.hub import CacheFetcher, CacheRemover, Hub, HubUploader, PushFolders
from mlxk.domain.ports.making import (
    CloneTargets,
    Destinations,
    IndexBuilder,
    Quantizer,
    Staging,
    TensorReader,
    TreeCopier,
)
from mlxk.domain.ports.stores import (
    FactReader,
    KnownDigests,
    ModelStore,
    Verifier,
    WorkspaceIntegrity,
    WorkspaceStore,
)
from mlxk.domain.ports.surroundings import Confirmer, FileProgress, Host, Progress
from mlxk.domain.ports.text_models import (
    BatchingTextModel,
    BatchingTextRuntime,
    Prepared,
    TextModel,
    TextRuntime,
)

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
