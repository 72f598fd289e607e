"""Schemas that llguidance would take minutes to compile, or for ever.

It has limits of its own for most of what grows; these are the two that it lacks. A schema comes from a
client, and what it costs is paid by all who wait for the same model.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from mlxk.domain.model import JsonObject, JsonValue

__all__ = ["too_costly"]

MOST_PROPERTIES = 2000
"""Of one object; the time grows with their square."""

GREATEST_MULTIPLE = 100_000
"""An automaton counts remainders: it has as many states as the divisor, without its decimal point."""

_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "$ref"})


def too_costly(schema: JsonObject) -> str | None:
    """Why a schema is not to be compiled, or None."""
    divisors: set[Decimal] = set()
    combined = False
    for part in _parts(schema):
        properties, divisor = part.get("properties"), part.get("multipleOf")
        if isinstance(properties, Mapping) and len(properties) > MOST_PROPERTIES:
            return f"an object has {len(properties)} properties, and may have {MOST_PROPERTIES}"
        if isinstance(divisor, int | float) and not isinstance(divisor, bool) and math.isfinite(divisor):
            divisors.add(Decimal(repr(divisor)).normalize())
        combined = combined or not _COMBINING.isdisjoint(part)
    if divisors and _remainders(divisors, together=combined) > GREATEST_MULTIPLE:
        return f"multipleOf is too large: no more than {GREATEST_MULTIPLE} remainders can be told apart"
    return None


def _parts(schema: JsonValue) -> Iterator[JsonObject]:
    """Every object in a schema, itself among them."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield dict(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _remainders(divisors: set[Decimal], *, together: bool) -> int:
    """The most that a number must be divided by; all at once where schemas are combined."""
    if not together:
        return max(_scaled(divisor, _places(divisor)) for divisor in divisors)
    places = max(_places(divisor) for divisor in divisors)
    least = 1
    for divisor in divisors:
        least = math.lcm(least, _scaled(divisor, places))
        if least > GREATEST_MULTIPLE:
            break  # thousands of long numbers have a multiple that takes long to compute
    return least


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _scaled(number: Decimal, places: int) -> int:
    return max(1, abs(int(number.scaleb(places))))
