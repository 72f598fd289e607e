"""What `mlxk run` and the server ask of a model before they load it for text."""

from mlxk.app.inspection import InspectedModel
from mlxk.domain.compatibility import Runtimes, text_problem
from mlxk.domain.errors import ErrorKind, MlxkError
from mlxk.domain.memory import Gate, MemoryFacts, Verdict, gate_text

__all__ = ["refuse_too_large", "refuse_unfit"]


def refuse_unfit(model: InspectedModel, runtimes: Runtimes, name: str) -> None:
    """See that a model is whole and generates text here.

    Args:
        name: what to call the model in an error.

    Raises:
        MlxkError: (`OPERATION`) it is damaged; (`NOT_IMPLEMENTED`) it cannot answer text here.
    """
    if not model.health.healthy:
        raise MlxkError(
            ErrorKind.OPERATION,
            f"Model '{name}' is damaged: {model.health.reason}.",
            hint=f"run `mlxk health {name}` to see what is wrong and what helps",
        )
    problem = text_problem(model.facts, model.description, runtimes)
    if problem:
        raise MlxkError(
            ErrorKind.NOT_IMPLEMENTED,
            f"Model '{name}' cannot answer here: {problem}.",
            hint="run `mlxk list` to see the models that can",
        )


def refuse_too_large(model: InspectedModel, memory: MemoryFacts, name: str) -> Gate:
    """See that a model can fit in memory at all.

    Args:
        name: what to call the model in an error.

    Returns:
        The verdict, which may be that it is tight.

    Raises:
        MlxkError: (`INSUFFICIENT_MEMORY`) it cannot fit.
    """
    gate = gate_text(model.facts.size, memory)
    if gate.verdict is Verdict.REFUSED:
        raise MlxkError(
            ErrorKind.INSUFFICIENT_MEMORY,
            f"Model '{name}' cannot fit in memory: it {gate.reason}.",
            hint="use a smaller model, or one with fewer bits per weight",
        )
    return gate
