"""`Budget`: a limit on credits that several sessions share by name."""

from typing import Any

import attrs

from veo_async._base.checks import check_text

from .prices import validate_credits


def _check_credits(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None:
        validate_credits(attribute.name, value)


def _check_name(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    check_text(attribute.name, value)


@attrs.frozen
class Budget:
    """A budget with a name: all sessions on a ledger that use the name share it, across restarts and processes.

    A session counts what its jobs spend under the name, on the ledger and in the same transaction that stores the job.
    So the jobs of all these sessions together never exceed the limit. A session without a ledger has the budget to
    itself. Pruning finished jobs does not give credits back.

    Attributes:
        credits: what may be spent under this name; None counts without a limit.
        name: any text, for example a project or a customer.
    """

    credits: float | None = attrs.field(validator=_check_credits)
    name: str = attrs.field(kw_only=True, validator=_check_name)
