"""The conditions that a seed draws: the account's limits, the rates of faults, and how often sessions die."""

from random import Random
from typing import Any, Literal

import attrs

from veo_async.simulator import (
    Fault,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_callback,
    html_page,
    late_callback,
    lost_callback,
    rate_limited,
    refuse,
    reset_connection,
    truncate,
    unreachable,
)


@attrs.frozen(kw_only=True)
class Conditions:
    """The conditions of one simulation."""

    #: The account allows `limit` creating requests in any `window_s` seconds.
    limit: int
    window_s: float
    #: How long the provider works on a task, in seconds.
    duration_s: float
    max_in_flight: int
    poll_every: float | None
    has_callbacks: bool
    on_doubt: Literal["hold", "resubmit"]
    #: An operator resolves, resubmits and abandons jobs, sometimes wrongly, and callbacks are forged.
    has_operator: bool
    #: Sessions that share the ledger at the same time.
    max_sessions: int
    #: Sessions that end early, at most.
    max_early_ends: int
    #: How long faults are injected, in seconds.
    fault_phase_s: float
    #: The probability that a fault hits a network request, a callback, or a ledger call.
    network: float
    callbacks: float
    ledger: float
    #: The probability that a session is killed during a ledger call.
    kill: float


def draw_conditions(rng: Random, jobs: int) -> Conditions:
    """Draw the conditions for a batch of *jobs*. The order of the draws is part of what a seed means."""
    limit, window_s = rng.choice([(20, 10.0), (20, 5.0), (50, 10.0), (5, 1.0)])
    has_callbacks = rng.random() < 0.7
    return Conditions(
        limit=limit,
        window_s=window_s,
        duration_s=rng.uniform(3.0, 40.0),
        max_in_flight=rng.choice([jobs, 100, 30]),
        poll_every=rng.choice([None, 5.0, 10.0]),
        has_callbacks=has_callbacks,
        # With callbacks, a job in doubt waits for one for longer than the fault phase lasts.
        on_doubt="resubmit" if not has_callbacks and rng.random() < 0.3 else "hold",
        has_operator=rng.random() < 0.4,
        max_sessions=rng.choice([1, 1, 2]),
        max_early_ends=rng.randrange(12),
        fault_phase_s=jobs / limit * window_s * rng.uniform(0.5, 1.5),
        network=rng.choice([0.0, 0.01, 0.03]),
        callbacks=rng.choice([0.0, 0.05, 0.2]),
        ledger=rng.choice([0.0, 0.003, 0.03]),
        kill=rng.choice([0.001, 0.004, 0.02]),
    )


def network_faults(conditions: Conditions, on: Any) -> list[Fault]:
    """Return the faults of the network, the provider and its callbacks, for the request numbers in *on*."""
    probability = conditions.network
    create: Any = {"on": on, "probability": probability}
    poll: Any = {**create, "endpoint": "record-info"}
    callback: Any = {"on": on, "probability": conditions.callbacks}
    return [
        drop_after_accepting(**create),
        drop_before_accepting(**create),
        rate_limited(**create),
        rate_limited(form="body", retry_after=5, **create),
        refuse(500, **create),
        refuse(455, **{**create, "probability": probability / 20}),
        html_page(502, **create),
        truncate(**create),
        reset_connection(**create),
        unreachable(**create),
        delay(90.0, **create),
        delay(200.0, **{**create, "probability": probability / 3}),
        drop_after_accepting(**poll),
        rate_limited(**poll),
        html_page(502, **poll),
        truncate(**poll),
        delay(20.0, **poll),
        unreachable(**poll),
        lost_callback(**callback),
        duplicate_callback(**callback),
        late_callback(100.0, **callback),
    ]
