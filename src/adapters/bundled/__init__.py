"""Models that ship with mlxk as package data."""

from collections.abc import Sequence
from pathlib import Path

from mlxk.domain.errors import ModelNotFound
from mlxk.domain.model import ModelRecord, Source

__all__ = ["DEMO", "BundledModels"]

DEMO = "demo"
"""Name of the one bundled model, and of its folder in this package."""


class BundledModels:
    """The model inside the package, so that everything can be tried before the first download.

    Args:
        directory: the folder with a folder per model; this package unless given.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or Path(__file__).parent

    def records(self) -> Sequence[ModelRecord]:
        """The demo model, or nothing when the package was installed without it."""
        path = self._directory / DEMO
        if not path.is_dir():
            return ()
        return (ModelRecord(DEMO, str(path.absolute()), Source.BUNDLED),)

    def revisions(self, record: ModelRecord) -> Sequence[ModelRecord]:  # noqa: ARG002 - the port's signature
        """Nothing: the model is the one of this version of mlxk."""
        return ()

    def at_revision(self, record: ModelRecord, revision: str) -> ModelRecord:
        """Never finds one.

        Raises:
            ModelNotFound: always; the bundled model has no revisions.
        """
        raise ModelNotFound(
            f"The bundled model '{record.name}' has no revision '{revision}'.",
            hint=f"use `{record.name}` without a revision",
        )
