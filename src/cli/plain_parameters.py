"""Typer commands that convert only the values that need it.

Typer hands every value, even an absent one, to pydantic for conversion; importing that takes longer than
`mlxk list` needs to look through a hundred models, and more than a TAB may. Text, flags and defaults are what
they should be as they come, so most calls never need it.
"""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["PlainCommand", "PlainGroup"]


class _OnlyWhereNeeded:
    """Stands where Typer keeps a parameter's converter, and makes way for it when there is work for it."""

    def coerce(self, value: object, param: Any, ctx: Any) -> object:
        """The value as it is where it is absent or already of its type, else as Typer converts it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if type(value) is param.type_descriptor.annotation:
            return value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _convert_where_needed(parameters: Iterable[Any]) -> None:
    """Put off the converters. Harmless where Typer's inside has changed: it converts everything again."""
    for parameter in parameters:
        if getattr(parameter, "_runtime_param", ...) is None:
            parameter._runtime_param = _OnlyWhereNeeded()


class PlainCommand(TyperCommand):
    """A command that converts only the values that need it."""

    def get_params(self, ctx: Any) -> Any:
        """The command's parameters, `--help` among them."""
        parameters = super().get_params(ctx)
        _convert_where_needed(parameters)
        return parameters


class PlainGroup(TyperGroup):
    """A group of commands that converts only the values of its own options that need it."""

    def get_params(self, ctx: Any) -> Any:
        """The group's parameters, those of completion and `--help` among them."""
        parameters = super().get_params(ctx)
        _convert_where_needed(parameters)
        return parameters
