"""What the ways to share blocks have in common: how they say that they cannot."""

__all__ = ["NotShared"]


class NotShared(Exception):
    """Blocks were not shared, for a reason that another way of copying does not have.

    Args:
        never: no file of this pair of volumes can be shared, so that trying again is useless.
    """

    def __init__(self, reason: str, *, never: bool) -> None:
        super().__init__(reason)
        self.never = never
