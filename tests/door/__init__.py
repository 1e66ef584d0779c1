"""The promises of the door at their full size (reliability §2, P15, P18, P20 to P23); `make fuzz` plays them.

Each module plays one, with cases and machinery of the tests that have it small: `play(size)` returns its Verdict.
"""

from dataclasses import dataclass


@dataclass
class Size:
    """How much is played: `size(full, least)` makes a number of its full one and of the least that means anything."""

    scale: float = 1
    seconds: int = 600  # of P18, which is no count

    def __call__(self, full: int, least: int) -> int:
        """Return the number."""
        return max(least, int(full * self.scale))
