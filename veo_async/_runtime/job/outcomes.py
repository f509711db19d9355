"""`Outcomes`: a list of outcomes that people can read."""

from collections import Counter
from typing import Final, SupportsIndex, overload

from .outcome import Done, Failed, InDoubt, OnHold, Outcome, Refused

_ORDER: Final = (Done, Refused, Failed, InDoubt, OnHold)


def describe_counts(counts: Counter[type]) -> str:
    """Return how many there are of each class of outcomes: ``3 done, 1 refused``."""
    return ", ".join(f"{counts[outcome]:,} {outcome.kind}" for outcome in _ORDER if counts[outcome]) or "none"


class Outcomes(list[Outcome]):
    """A list of outcomes. A notebook shows it as a grid of videos, and ``print`` as a line per outcome.

    `VeoSession.gather` returns one. ``Outcomes(veo.map(…))`` collects those of a `veo_async.sync` session.
    """

    @overload
    def __getitem__(self, index: SupportsIndex) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> "Outcomes": ...

    def __getitem__(self, index: SupportsIndex | slice) -> "Outcome | Outcomes":
        """Return one outcome, or a part of the list that is shown in the same way."""
        return Outcomes(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __repr__(self) -> str:
        return f"<Outcomes: {self.summary}>"

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        """Return a grid of videos and reasons, for notebooks."""
        from .html import outcomes_html  # only notebooks need it

        return outcomes_html(self, self.summary)

    @property
    def summary(self) -> str:
        """How many there are of each kind: ``3 done, 1 refused``."""
        return describe_counts(Counter(type(outcome) for outcome in self))
