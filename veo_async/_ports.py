"""The seams between rooms: what crosses them, and what stands on the other side.

Whoever composes the client hands the concrete thing in; everyone else sees the Protocol.
"""

from collections.abc import Mapping
from typing import Protocol

import attrs

from ._wire import HttpAnswer


@attrs.frozen(kw_only=True)
class HttpCall:
    """One HTTP attempt that is wanted."""

    method: str
    url: str
    #: Holds the key; values that must not be shown mask themselves in ``repr``.
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(default=None, repr=lambda body: "None" if body is None else f"<{len(body)} bytes>")
    #: Seconds for the whole attempt, connecting and reading included.
    timeout_s: float


class Transport(Protocol):
    """Makes one HTTP attempt and says what happened."""

    async def attempt(self, call: HttpCall) -> HttpAnswer:
        """The answer, read to its end.

        Raises:
            NotSent: not one byte of the request had left us.
            AnswerLost: it had left, fully or in part, and no whole answer came.
            MalformedResponse: what came is no HTTP answer within bounds.
        """
        ...

    async def close(self) -> None:
        """Close what this transport opened, and nothing else."""
        ...
