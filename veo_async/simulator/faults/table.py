"""What a `Fault` is, and the table of all faults.

To add a fault, write its constructor in `refusals`, `connections`, `bodies`, `downloads` or `callbacks` and decorate it
with `fault_kind`. Everything else follows from that: the name in text and on the command line, the export from
`veo_async.simulator`, the lists in help and documentation, and the effect on requests, responses and callbacks.

All faults can be limited to certain requests, which are counted per fault from 1: ``on=1``, ``on={2, 5}``,
``on=range(10, 20)``, ``after=3`` (not the first three), ``times=2`` (at most twice), ``probability=0.1, seed=7`` or
``prompt="dog"`` (only requests whose prompt contains this text; others are not counted). These can be combined; without
any, the fault is triggered every time. If several faults match a request, the first in the list is used::

    faults=[drop_after_accepting(on=1), rate_limited(times=3, retry_after=4, form="body"), lost_callback(on=2)]

``endpoint`` is the name of an API endpoint (``generate``, ``record-info``, …), ``*`` for all of them, ``download`` for
files or ``callback`` for callbacks. The name of a dedicated Veo endpoint includes the same kind of request on the jobs
route; ``create-task`` and ``job-record`` mean that route alone. A fault with ``accepted=False`` is triggered before the
account sees the request: nothing is created and nothing is charged.
"""

from collections.abc import Callable, Container
from inspect import getdoc
from random import Random
from typing import Any, Literal, TypedDict, TypeVar

import attrs

from veo_async.errors import UsageError
from veo_async.simulator.provider.callbacks import PlannedCallback
from veo_async.simulator.provider.messages import CALLBACK, DOWNLOAD, NAMES, SimRequest, SimResponse, kind_of

EVERY = "*"
_ENDPOINTS = frozenset({EVERY, DOWNLOAD, CALLBACK, *NAMES})


class When(TypedDict, total=False):
    """The requests that trigger a fault; the module's docstring explains the fields."""

    endpoint: str
    prompt: str
    on: int | Container[int] | None
    after: int
    times: int | None
    probability: float
    seed: int | None


@attrs.frozen(kw_only=True, repr=False)
class Fault:
    """One fault and the requests that trigger it. Use the functions in `veo_async.simulator` to create one."""

    #: The fault's name in `FAULTS`.
    kind: str
    #: The default depends on the kind.
    endpoint: str = attrs.field(default=attrs.Factory(lambda fault: find_kind(fault.kind).endpoint, takes_self=True))
    #: Text in the request's prompt; empty for every request.
    prompt: str = ""
    on: int | Container[int] | None = None
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    #: Seeds this fault's random generator; None derives it from the simulator's seed.
    seed: int | None = None
    #: Whether the account sees the request.
    accepted: bool = True
    code: int = 500
    message: str = ""
    #: Where an error code is sent: as HTTP status, or in the body of an HTTP 200.
    form: Literal["body", "http"] = "http"
    #: The value of ``Retry-After``: seconds, or text that is sent as it is, or several such texts.
    retry_after: float | str | tuple[str, ...] | None = None
    retry_after_as: Literal["seconds", "date"] = "seconds"
    #: Simulated seconds.
    seconds: float = 0.0
    #: A position in the body, in bytes; None is its middle.
    at: int | None = None
    #: A size, depth or count.
    size: int = 0
    #: A variant of the kind.
    variant: str = ""
    location: str = ""
    value: Any = None
    #: Changes the response's JSON; only for `tamper`.
    change: Callable[[Any], Any] | None = None

    def __attrs_post_init__(self) -> None:
        if self.endpoint not in _ENDPOINTS:
            listed = ", ".join(sorted(_ENDPOINTS))
            raise UsageError(f"endpoint={self.endpoint!r}: is not a simulator endpoint; use one of {listed}")
        if (find_kind(self.kind).endpoint == CALLBACK) != (self.endpoint == CALLBACK):
            raise UsageError(
                f"endpoint={self.endpoint!r}: cannot have {self.kind!r}; callbacks have their own kinds of fault"
            )
        if not 0 <= self.probability <= 1:
            raise UsageError(f"probability={self.probability!r}: must be between 0 and 1, e.g. 0.1")

    def __repr__(self) -> str:
        default = Fault(kind=self.kind)
        names = [field.name for field in attrs.fields(Fault)]
        shown = [name for name in names if name == "kind" or getattr(self, name) != getattr(default, name)]
        return f"Fault({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def matches(self, endpoint: str, body: bytes = b"") -> bool:
        """Whether a request to *endpoint* with *body* can trigger it."""
        if self.prompt and self.prompt not in _prompt_in(body):
            return False
        if self.endpoint == EVERY:
            return endpoint not in (DOWNLOAD, CALLBACK)
        return self.endpoint in (endpoint, kind_of(endpoint, body))

    def is_on(self, number: int) -> bool:
        """Whether ``on`` and ``after`` select the request with this *number*, counted from 1."""
        if number <= self.after:
            return False
        if self.on is None:
            return True
        return number == self.on if isinstance(self.on, int) else number in self.on


def _prompt_in(body: bytes) -> str:
    content = SimRequest(method="POST", path="", body=body).json()
    fields = content.get("input", content) if isinstance(content, dict) else None
    return str(fields.get("prompt", "")) if isinstance(fields, dict) else ""


@attrs.frozen
class FaultContext:
    """What an effect may need besides the fault and the response."""

    rng: Random
    #: Epoch seconds of the wall clock.
    wall_time: float


RequestEffect = Callable[[Fault, SimRequest], SimRequest]
ResponseEffect = Callable[[Fault, SimResponse, FaultContext], SimResponse]
CallbackEffect = Callable[[Fault, PlannedCallback], PlannedCallback]


@attrs.frozen(kw_only=True)
class FaultKind:
    """One entry of the table."""

    #: The name in text, such as ``drop-after-accepting``.
    name: str
    #: A shorter name that text may use instead.
    short_name: str
    #: The constructor.
    create: Callable[..., Fault]
    #: The endpoint whose requests trigger the fault, unless the constructor gets another one.
    endpoint: str
    #: The first sentence of the constructor's docstring.
    description: str
    #: Simulated seconds to wait before the account sees the request.
    delay_s: Callable[[Fault], float]
    alter_request: RequestEffect
    alter_response: ResponseEffect
    alter_callback: CallbackEffect
    #: Only the in-memory frontend can do this.
    memory_only: bool
    #: Whether it can be written as text.
    has_text: bool


#: Every fault by its name.
FAULTS: dict[str, FaultKind] = {}

_Constructor = TypeVar("_Constructor", bound=Callable[..., Fault])


def fault_kind(
    *,
    endpoint: str = "generate",
    short_name: str = "",
    delay_s: Callable[[Fault], float] = lambda fault: 0.0,
    request: RequestEffect = lambda fault, request: request,
    response: ResponseEffect = lambda fault, response, context: response,
    callback: CallbackEffect = lambda fault, callback: callback,
    memory_only: bool = False,
    has_text: bool = True,
) -> Callable[[_Constructor], _Constructor]:
    """Add the decorated constructor to the table. The arguments are the fields of `FaultKind`.

    The fault's name is the function's name with dashes, and the constructor must pass it to `Fault` as ``kind``.
    """

    def add(create: _Constructor) -> _Constructor:
        name = create.__name__.replace("_", "-")
        FAULTS[name] = FaultKind(
            name=name,
            short_name=short_name,
            create=create,
            endpoint=endpoint,
            description=" ".join((getdoc(create) or "").partition("\n\n")[0].split()),
            delay_s=delay_s,
            alter_request=request,
            alter_response=response,
            alter_callback=callback,
            memory_only=memory_only,
            has_text=has_text,
        )
        return create

    return add


def find_kind(name: str) -> FaultKind:
    """Return the table's entry for *name*.

    Raises:
        UsageError: there is no such fault.
    """
    if name not in FAULTS:
        raise UsageError(f"kind={name!r}: is not a kind of fault; use one of {', '.join(sorted(FAULTS))}")
    return FAULTS[name]


def describe_faults() -> str:
    """Return a list of all faults with their descriptions, one per line."""
    width = max(map(len, FAULTS))
    return "\n".join(f"{kind.name:{width}}  {kind.description}" for kind in FAULTS.values())
