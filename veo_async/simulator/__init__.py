"""The provider's stand-in, with its bad habits: for tests, for the demo, and for trying things without paying.

::

    from veo_async.simulator import Simulator, drop_after_accepting

    async with Simulator(faults=[drop_after_accepting(on=1)]) as sim:
        ...                                     # sim.url, sim.api_key
        sim.assert_no_double_charge()

- `Simulator`        a web server on loopback; `MemoryTransport` the same without sockets
- `SimulatorSettings` every option (each is a keyword of both), `faults` what can go wrong and how it is ordered,
  `fates` the words in a prompt that decide what becomes of it
- `fast_loop`        an event loop in which a client and a simulator share a compressed clock
- ``account.py``     the machine itself: pure, ``handle(request, now) -> answer``
"""

from .faults.faults import (
    blocked_1010,
    byte_order_mark,
    changed_file,
    deep_nesting,
    delay,
    doubled_callback,
    drip,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_keys,
    empty_body,
    endless_body,
    expired,
    forged_callback,
    garble,
    gzip_bomb,
    html,
    huge_body,
    huge_integer,
    ignored_range,
    late_callback,
    lost_callback,
    lying_range,
    malformed_callback,
    many_headers,
    not_a_number,
    not_mp4,
    rate_limited,
    redirect,
    refuse,
    refused_range,
    reset_connection,
    swapped_callbacks,
    tamper,
    truncate,
    unknown_code,
    unknown_status,
    unreachable,
    wrong_length,
    wrong_types,
)
from .faults.parsing import parse_fault
from .faults.plan import Fault, FiredFault
from .frontends.callback_sender import CallbackAttempt
from .frontends.memory import MemoryTransport
from .frontends.server import Simulator
from .provider.account import Account
from .provider.callbacks import CallbackPost
from .provider.charges import Charge, request_identity
from .provider.messages import SimAnswer, SimRequest
from .provider.provider import SeenRequest
from .provider.tasks import Task
from .settings import SimulatorSettings

__all__ = [
    "Account",
    "CallbackAttempt",
    "CallbackPost",
    "Charge",
    "Fault",
    "FiredFault",
    "MemoryTransport",
    "SeenRequest",
    "SimAnswer",
    "SimRequest",
    "Simulator",
    "SimulatorSettings",
    "Task",
    "blocked_1010",
    "byte_order_mark",
    "changed_file",
    "deep_nesting",
    "delay",
    "doubled_callback",
    "drip",
    "drop_after_accepting",
    "drop_before_accepting",
    "duplicate_keys",
    "empty_body",
    "endless_body",
    "expired",
    "forged_callback",
    "garble",
    "gzip_bomb",
    "html",
    "huge_body",
    "huge_integer",
    "ignored_range",
    "late_callback",
    "lost_callback",
    "lying_range",
    "malformed_callback",
    "many_headers",
    "not_a_number",
    "not_mp4",
    "parse_fault",
    "rate_limited",
    "redirect",
    "refuse",
    "refused_range",
    "request_identity",
    "reset_connection",
    "swapped_callbacks",
    "tamper",
    "truncate",
    "unknown_code",
    "unknown_status",
    "unreachable",
    "wrong_length",
    "wrong_types",
]
