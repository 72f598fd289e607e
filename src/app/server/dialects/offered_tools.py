"""The tools of a request and the choice among them, checked where their field can be named."""

from collections.abc import Sequence

from mlxk.domain.errors import InvalidInput
from mlxk.domain.generation import NamedTool, ToolChoice, ToolDefinition

__all__ = ["check_tools"]


def check_tools(tools: Sequence[ToolDefinition], choice: ToolChoice | NamedTool) -> None:
    """Refuse tools of one name, and a choice that no tool fits.

    Raises:
        InvalidInput: `param` names the field.
    """
    names: set[str] = set()
    for place, tool in enumerate(tools):
        if tool.name in names:
            raise InvalidInput(f"Two tools are called '{tool.name}'.", param=f"tools[{place}].name")
        names.add(tool.name)
    match choice:
        case NamedTool(name) if name not in names:
            raise InvalidInput(
                f"The tool choice names '{name}', which is not among the tools.", param="tool_choice"
            )
        case ToolChoice.REQUIRED if not names:
            raise InvalidInput("A tool call is required, but there are no tools.", param="tool_choice")
