"""A simulator of the provider, for tests, for demonstrations and for trying the library without paying.

::

    from veo_async.simulator import Simulator, drop_after_accepting

    async with Simulator(faults=[drop_after_accepting(on=1)]) as sim:
        ...                                     # sim.url, sim.api_key
        sim.assert_no_double_charge()

- `Simulator` is an HTTP server on this machine; `MemoryTransport` does the same without sockets.
- `SimulatorSettings` lists every option; each is a keyword argument of both.
- `fast_loop` is an event loop in which a client and a simulator share an accelerated clock.
- `provider` is the provider as a pure state machine. Certain words in a prompt decide the outcome of its task; see
  ``provider/outcomes.py``.
- `faults` is the table of faults. ``faults/table.py`` explains how to select the requests that trigger a fault, and
  ``faults/parsing.py`` how to write faults as text.
"""

from textwrap import indent
from typing import TYPE_CHECKING

from .faults.faulty_provider import ReceivedRequest as ReceivedRequest
from .faults.parsing import fault_names as fault_names
from .faults.parsing import parse_fault as parse_fault
from .faults.plan import TriggeredFault as TriggeredFault
from .faults.table import FAULTS as FAULTS
from .faults.table import Fault as Fault
from .faults.table import describe_faults as describe_faults
from .frontends.callback_sender import CallbackAttempt as CallbackAttempt
from .frontends.memory import MemoryTransport as MemoryTransport
from .frontends.server import Simulator as Simulator
from .provider.account import Account as Account
from .provider.callbacks import CallbackRequest as CallbackRequest
from .provider.charges import Charge as Charge
from .provider.charges import request_key as request_key
from .provider.messages import SimRequest as SimRequest
from .provider.messages import SimResponse as SimResponse
from .provider.tasks import Task as Task
from .settings import SimulatorSettings as SimulatorSettings

# Editors and type checkers find the faults here. At run time they are taken from the table, see below.
if TYPE_CHECKING:
    from .faults.bodies import *  # noqa: F403  # every public function in these modules is a fault
    from .faults.callbacks import *  # noqa: F403  # the same
    from .faults.connections import *  # noqa: F403  # the same
    from .faults.downloads import *  # noqa: F403  # the same
    from .faults.refusals import *  # noqa: F403  # the same

_EXPORTS = [
    "FAULTS",
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
    "describe_faults",
    "fault_names",
    "parse_fault",
    "request_key",
]
_CONSTRUCTORS = {kind.create.__name__: kind.create for kind in FAULTS.values()}

# Not written as `__all__ = …`: type checkers cannot evaluate the second half and would then hide the faults.
globals().update(_CONSTRUCTORS, __all__=[*_EXPORTS, *sorted(_CONSTRUCTORS)])
__doc__ = f"{__doc__}\nThe faults::\n\n{indent(describe_faults(), '    ')}\n"
