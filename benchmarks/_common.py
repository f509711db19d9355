"""What the benchmarks share: the table of results, virtual time, a simulated network, the exact lower bound.

Every benchmark is one command, ``python benchmarks/NAME.py``. It prints what `veo_async` reaches, what another client
reaches in the same run, and the goal; it exits with 1 if a goal is missed. Where speed is compared, that client is the
one of `_competent.py`; a naive loop may be shown as well.

``--quick`` runs a small size, for CI. Its goals for ratios are more generous, but a regression of 1.5 times misses
them. Goals that only the full size can judge (the machine's speed, a statistic) are shown but not counted.
"""

import argparse
import asyncio
import heapq
import json
import math
import selectors
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any, NoReturn, TypeVar

import attrs
from _competent import Send

from veo_async._ports import HttpRequest, Transport
from veo_async._wire import HttpResponse

T = TypeVar("T")

#: The documented limit: LIMIT creating requests in any WINDOW_S seconds.
LIMIT, WINDOW_S = 20, 10.0


# --- the table --------------------------------------------------------------------------------------------------


@attrs.define
class Report:
    """The rows of one benchmark, and the number of goals that were missed."""

    title: str
    is_quick: bool
    _rows: list[tuple[str, str, str, str, str]] = attrs.field(factory=list)
    _missed: int = 0

    def add(
        self,
        label: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        compared_with: str = "",
        digits: int = 0,
        slack: float = 1.0,
        needs_full_size: bool = False,
    ) -> None:
        """Add a row.

        Args:
            at_most, at_least: the goal; without either, the value is only shown.
            compared_with: the same value of another client, as text.
            slack: by how much the goal is more generous in a quick run, as a factor.
            needs_full_size: the goal does not count in a quick run.
        """
        if self.is_quick:
            at_most = None if at_most is None else at_most * slack
            at_least = None if at_least is None else at_least / slack
        is_reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        goal = "" if at_most is None else f"<= {at_most:.4g}"
        goal = f">= {at_least:.4g}" if at_least is not None else goal
        verdict = ("ok" if is_reached else "missed") if goal else ""
        if self.is_quick and needs_full_size and not is_reached:
            verdict = "missed (not counted: quick)"
        elif not is_reached:
            self._missed += 1
        self._rows.append((label, f"{value:,.{digits}f}", compared_with, goal, verdict))

    def show(self) -> int:
        """Print the table and return the exit status."""
        header = ("measured", "veo_async", "compared with", "goal", "")
        rows = [header, *self._rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        print(f"{self.title}{' (quick)' if self.is_quick else ''}\n")
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if row is header:
                print("  ".join("-" * width for width in widths))
        print(f"\n{f'goals missed: {self._missed}' if self._missed else 'all goals reached'}")
        return 1 if self._missed else 0


def main(title: str, measure: Callable[[Report], None]) -> NoReturn:
    """Parse the command line, measure, print the table, exit."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="a small size, as a smoke test")
    report = Report(title, parser.parse_args().quick)
    measure(report)
    sys.exit(report.show())


# --- virtual time -----------------------------------------------------------------------------------------------


class _SkippingSelector(selectors.DefaultSelector):
    """A selector that advances the clock instead of waiting.

    With real sockets, it first waits *grace_s* real seconds for one of them to become ready.
    """

    def __init__(self, grace_s: float) -> None:
        super().__init__()
        self.now = 0.0
        self._grace_s = grace_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._grace_s:
            ready = super().select(self._grace_s)
        elif timeout is None:
            raise RuntimeError("deadlock: all tasks wait, and no timer is set")
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, grace_s: float) -> None:
        self._skipping = _SkippingSelector(grace_s)
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def in_virtual_time(work: Coroutine[Any, Any, T], *, sockets: bool = False) -> T:
    """Run *work* on a clock that starts at 0 and skips all waiting.

    Args:
        sockets: *work* uses loopback sockets; they get a millisecond before the clock advances.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(0.001 if sockets else 0.0)) as runner:
        return runner.run(work)


# --- the network ------------------------------------------------------------------------------------------------


class Distant:
    """A transport with network latency; the same model as `tests/rules/limiters.py`.

    A request travels for a log-normal time (median 60 ms, sigma 0.5). The response to an accepted creating request
    takes 250 ms, any other 20 ms. The model is good for comparing rules, not for predicting seconds.
    """

    def __init__(self, inner: Transport, seed: int) -> None:
        self._inner, self._rng = inner, Random(seed)

    async def send(self, call: HttpRequest) -> HttpResponse:
        await asyncio.sleep(self._rng.lognormvariate(math.log(0.06), 0.5))
        response = await self._inner.send(call)
        is_limited = response.status == 429 or b'"code":429' in response.body
        await asyncio.sleep(0.25 if call.method == "POST" and not is_limited else 0.02)
        return response

    async def close(self) -> None:
        await self._inner.close()


def through(transport: Transport, api_key: str, *, on_response: Callable[[str, Any], None] | None = None) -> Send:
    """Return how the competent client sends through *transport*.

    Args:
        on_response: called with the path and the body of each response.
    """
    headers = {"Authorization": f"Bearer {api_key}"}

    async def send(method: str, path: str, body: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = HttpRequest(
            method=method, url=f"https://api.kie.ai{path}", headers=headers, body=content, timeout_s=30
        )
        response = json.loads((await transport.send(request)).body)
        if on_response is not None:
            on_response(path, response)
        return response

    return send


# --- the exact lower bound --------------------------------------------------------------------------------------


def lower_bound(
    durations: Iterable[float], *, limit: int = LIMIT, window_s: float = WINDOW_S, cap: float = math.inf
) -> float:
    """Return when the last task ends for a client that knows the limits, sends in order and has no network latency."""
    return max(best_ends(durations, limit=limit, window_s=window_s, cap=cap), default=0.0)


def best_ends(
    durations: Iterable[float], *, limit: int = LIMIT, window_s: float = WINDOW_S, cap: float = math.inf
) -> list[float]:
    """Return when each task ends for that client.

    The greedy schedule is optimal: behind a sliding window and a cap, sending earlier never delays another task. The
    k-th accepted task gets the k-th duration, as in the run it is compared with.
    """
    accepted: list[float] = []
    running: list[float] = []
    ends: list[float] = []
    now = 0.0
    for number, duration in enumerate(durations):
        if number >= limit:
            now = max(now, accepted[number - limit] + window_s)
        while running and (running[0] <= now or len(running) >= cap):
            now = max(now, heapq.heappop(running))
        accepted.append(now)
        heapq.heappush(running, now + duration)
        ends.append(now + duration)
    return ends


# --- statistics -------------------------------------------------------------------------------------------------


def quantile(values: Sequence[float], fraction: float) -> float:
    """Return the value below which *fraction* of *values* lie."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]
