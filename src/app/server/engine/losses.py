"""What clients hear when the model that worked for them is gone."""

from mlxk.domain.errors import ErrorKind, MlxkError

__all__ = ["died", "lost", "unloaded"]


def lost(message: str) -> MlxkError:
    """A model was lost, in a sentence that says how."""
    hint = "try again: the next request loads it anew"
    return MlxkError(ErrorKind.RUNTIME_LOST, message, hint=hint, retry_after=1)


def died(name: str, error: BaseException) -> MlxkError:
    """A model's thread ended by an error, whose text may hold anything and is only for the log."""
    return lost(f"Model '{name}' failed while it worked ({type(error).__name__}).")


def unloaded(name: str) -> MlxkError:
    """A model was closed before it could answer."""
    return lost(f"Model '{name}' was unloaded before it could answer.")
