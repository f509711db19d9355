"""What belongs to one attempt to send a request."""

import attrs

from veo_async._rules.gate.values import Grant


@attrs.define(eq=False)
class SendTicket:
    """What belongs to one attempt: the gate's grant, the number of the API key, and whether it probes a pause."""

    grant: Grant
    key_generation: int
    is_probe: bool
    #: Its callback token, which differs from those of other attempts.
    token: str | None = None
    #: From then on the request may have been sent.
    is_sent: bool = False
    #: The task in the response.
    task_id: str | None = None
    #: Whether the balance knows how the request ended.
    is_counted: bool = False
