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
    corrupt_body,
    deep_nesting,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_callback,
    duplicate_keys,
    empty_body,
    endless_body,
    expired_link,
    forged_callback,
    gzip_bomb,
    html_page,
    huge_body,
    huge_integer,
    ignored_range,
    late_callback,
    lost_callback,
    malformed_callback,
    many_headers,
    not_a_number,
    not_mp4,
    range_not_satisfiable,
    rate_limited,
    record_flag,
    redirect,
    refuse,
    reordered_callbacks,
    reset_connection,
    slow_body,
    tamper,
    truncate,
    unknown_code,
    unreachable,
    wrong_length,
    wrong_range,
    wrong_types,
)
from .faults.parsing import parse_fault
from .faults.plan import Fault, TriggeredFault
from .frontends.callback_sender import CallbackAttempt
from .frontends.memory import MemoryTransport
from .frontends.server import Simulator
from .provider.account import Account
from .provider.callbacks import CallbackRequest
from .provider.charges import Charge, request_key
from .provider.messages import SimRequest, SimResponse
from .provider.provider import ReceivedRequest
from .provider.tasks import Task
from .settings import SimulatorSettings

__all__ = [
    "Account",
    "CallbackAttempt",
    "CallbackRequest",
    "Charge",
    "Fault",
    "MemoryTransport",
    "ReceivedRequest",
    "SimRequest",
    "SimResponse",
    "Simulator",
    "SimulatorSettings",
    "Task",
    "TriggeredFault",
    "blocked_1010",
    "byte_order_mark",
    "changed_file",
    "corrupt_body",
    "deep_nesting",
    "delay",
    "drop_after_accepting",
    "drop_before_accepting",
    "duplicate_callback",
    "duplicate_keys",
    "empty_body",
    "endless_body",
    "expired_link",
    "forged_callback",
    "gzip_bomb",
    "html_page",
    "huge_body",
    "huge_integer",
    "ignored_range",
    "late_callback",
    "lost_callback",
    "malformed_callback",
    "many_headers",
    "not_a_number",
    "not_mp4",
    "parse_fault",
    "range_not_satisfiable",
    "rate_limited",
    "record_flag",
    "redirect",
    "refuse",
    "reordered_callbacks",
    "request_key",
    "reset_connection",
    "slow_body",
    "tamper",
    "truncate",
    "unknown_code",
    "unreachable",
    "wrong_length",
    "wrong_range",
    "wrong_types",
]
