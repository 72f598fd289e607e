"""The tools of a request and the choice among them, checked where their field can be named."""

from collections.abc import Sequence

from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import NamedTool, ToolChoice, ToolDefinition

__all__ = ["check_tools"]


def check_tools(
    tools: Sequence[ToolDefinition], choice: ToolChoice | NamedTool, *, name: str = "name"
) -> None:
    """Refuse tools of one name, and a choice that no tool fits.

    Args:
        name: where in a tool its name stands.

    Raises:
        InvalidInput: `param` names the field.
    """
    names: set[str] = set()
    for place, tool in enumerate(tools):
        if tool.name in names:
            raise InvalidInput(f"Two tools are called '{tool.name}'.", param=f"tools[{place}].{name}")
        names.add(tool.name)
    match choice:
        case NamedTool(chosen) if chosen not in names:
            raise InvalidInput(
                f"The tool choice names '{chosen}', which is not among the tools.", param="tool_choice"
            )
        case ToolChoice.REQUIRED if not names:
            raise InvalidInput("A tool call is required, but there are no tools.", param="tool_choice")
