"""What the benchmarks share: the table and its verdict, virtual time, the network between, the exact bound.

Every benchmark is one command, ``python benchmarks/NAME.py``. It prints what we reach, what the same run reached
without us, and the goal; it exits with 1 when a goal is missed. ``--quick`` does the same at a size for smoke tests.
There a goal that only a full size can judge (a machine's speed, a statistic) is shown and not counted.
"""

import argparse
import asyncio
import heapq
import math
import selectors
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any, NoReturn, TypeVar

import attrs

from veo_async._ports import HttpRequest, Transport
from veo_async._wire import HttpResponse

T = TypeVar("T")

#: The documented limit: so many creations in so many seconds.
LIMIT, WINDOW_S = 20, 10.0


# --- the table --------------------------------------------------------------------------------------------------


@attrs.define
class Report:
    """The rows of one benchmark, and whether all goals were reached."""

    title: str
    is_quick: bool
    _rows: list[tuple[str, str, str, str, str]] = attrs.field(factory=list)
    _missed: int = 0

    def add(
        self,
        what: str,
        figure: float,
        *,
        most: float | None = None,
        least: float | None = None,
        beside: str = "",
        digits: int = 0,
        needs_full_size: bool = False,
    ) -> None:
        """One figure of ours, beside another's.

        Args:
            most, least: the goal; without either the figure is only told.
            needs_full_size: in a quick run it is not counted.
        """
        is_reached = (most is None or figure <= most) and (least is None or figure >= least)
        goal = "" if most is None else f"<= {most:g}"
        goal = f">= {least:g}" if least is not None else goal
        verdict = ("ok" if is_reached else "missed") if goal else ""
        if self.is_quick and needs_full_size and not is_reached:
            verdict = "missed (not counted: quick)"
        elif not is_reached:
            self._missed += 1
        self._rows.append((what, f"{figure:,.{digits}f}", beside, goal, verdict))

    def show(self) -> int:
        """Print the table; the exit status."""
        heads = ("what", "veo_async", "beside it", "goal", "")
        rows = [heads, *self._rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        print(f"{self.title}{' (quick)' if self.is_quick else ''}\n")
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if row is heads:
                print("  ".join("-" * width for width in widths))
        print(f"\n{'missed: ' + str(self._missed) if self._missed else 'all goals reached'}")
        return 1 if self._missed else 0


def main(title: str, measure: Callable[[Report], None]) -> NoReturn:
    """Parse the command line, measure, print, exit."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="a size for smoke tests")
    report = Report(title, parser.parse_args().quick)
    measure(report)
    sys.exit(report.show())


# --- virtual time -----------------------------------------------------------------------------------------------


class _SkippingSelector(selectors.DefaultSelector):
    """Instead of waiting it moves the clock; real sockets are given *grace_s* real seconds to have something."""

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
            raise RuntimeError("everything waits for something that will never come")
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
    """Run *work* on a clock that starts at 0 and jumps over all waiting.

    Args:
        sockets: there are loopback sockets in it, which need a millisecond before a jump.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(0.001 if sockets else 0.0)) as runner:
        return runner.run(work)


# --- the network between ----------------------------------------------------------------------------------------


class Distant:
    """A transport with the network of the study in front of it, see `tests/rules/limiters.py`.

    The way there takes a log-normal time with a median of 60 ms and sigma 0.5, an accepting answer 250 ms, any other
    20 ms. A model, good for comparing rules, not for promising seconds.
    """

    def __init__(self, inner: Transport, seed: int) -> None:
        self._inner, self._rng = inner, Random(seed)
        self.refusals = 0

    async def send(self, call: HttpRequest) -> HttpResponse:
        await asyncio.sleep(self._rng.lognormvariate(math.log(0.06), 0.5))
        answer = await self._inner.send(call)
        is_refused = answer.status == 429 or b'"code":429' in answer.body
        self.refusals += is_refused
        await asyncio.sleep(0.25 if call.method == "POST" and not is_refused else 0.02)
        return answer

    async def close(self) -> None:
        await self._inner.close()


# --- the exact bound --------------------------------------------------------------------------------------------


def lower_bound(
    durations: Iterable[float], *, limit: int = LIMIT, window_s: float = WINDOW_S, cap: float = math.inf
) -> float:
    """When the last task of a client would end that knows everything, goes in order and has no network.

    Greedy is exact: behind a sliding window and a cap, to be accepted earlier never delays anybody. The k-th task
    accepted takes the k-th duration, as in the run that is compared.
    """
    passed: list[float] = []
    running: list[float] = []
    now = last = 0.0
    for number, duration in enumerate(durations):
        if number >= limit:
            now = max(now, passed[number - limit] + window_s)
        while running and (running[0] <= now or len(running) >= cap):
            now = max(now, heapq.heappop(running))
        passed.append(now)
        heapq.heappush(running, now + duration)
        last = max(last, now + duration)
    return last


# --- figures ----------------------------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which *share* of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
