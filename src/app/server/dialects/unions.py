"""How pydantic tells the alternatives of a field apart, so that an error names one thing that is wrong.

The tags of alternatives begin with `#`: they are no part of the field's path.
"""

from pydantic import Discriminator

__all__ = ["by_type", "only_type", "text_or_list"]


def by_type(*supported: str, untyped: str = "") -> Discriminator:
    """Alternatives by their `type`.

    Args:
        supported: what the error says can be used.
        untyped: the type of what names none.
    """

    def tag(value: object) -> str:
        found = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return f"#{untyped if found is None else found}"

    names = ", ".join(f"'{name}'" for name in supported)
    return Discriminator(
        tag,
        custom_error_type="unsupported_type",
        custom_error_message=f"only the types {names} are supported",
    )


def only_type(value: object, supported: str) -> object:
    """A value before it is read, unless it names another type; that is told before what else is wrong.

    Raises:
        ValueError: it does.
    """
    found = value.get("type") if isinstance(value, dict) else None
    if isinstance(found, str) and found != supported:
        raise ValueError(f"the type '{found[:64]}' is not supported, only '{supported}' is")
    return value


def _text_or_list(value: object) -> str:
    return "#text" if isinstance(value, str) else "#list"


text_or_list = Discriminator(_text_or_list)
"""Text, or a list of parts."""
