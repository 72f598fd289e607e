"""What came of asking the user before something that cannot be taken back."""

from enum import Enum

__all__ = ["Consent"]


class Consent(Enum):
    """The answer to a question, or that there was nobody to ask."""

    GIVEN = "yes"
    REFUSED = "no"
    NOBODY = "there is no terminal to ask on"
