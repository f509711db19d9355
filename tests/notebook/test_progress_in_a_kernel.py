"""The progress bar of a notebook: one display that is replaced in place, in the cell that waits."""

import re

import pytest

from .kernels import CellOutput, Kernel


@pytest.fixture
def opened(kernel: Kernel) -> Kernel:
    """The kernel with an open session."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    return kernel


def bar(output: CellOutput) -> list[str]:
    """Return the texts that the only bar of the cell has shown."""
    assert len({display_id for display_id, _ in output.displayed}) == 1
    return [data["text/plain"] for _, data in output.displayed]


def fractions(output: CellOutput) -> list[float]:
    """Return how far the bar was filled each time."""
    html = "".join(data["text/html"] for _, data in output.displayed)
    return [float(value) for value in re.findall(r'<progress max="1" value="([\d.]+)"', html)]


@pytest.mark.parametrize(
    "cell", ["veo.generate('Bar one [slow]', key='one')", "veo.submit('Bar two [slow]', key='one').wait()"]
)
def test_wait_for_one_clip_shows_a_bar_with_the_estimate(kernel: Kernel, cell: str) -> None:
    """It begins empty, and ends full with the outcome."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    output = kernel.check(cell)
    texts = bar(output)
    assert any("generating, about " in text for text in texts)
    assert re.match(r"\d:\d\d  done: one: http", texts[-1])
    assert fractions(output)[0] < 0.1
    assert fractions(output)[-1] == 1.0
    kernel.check("veo.close()")


def test_follow_up_shows_a_bar(opened: Kernel) -> None:
    """An upgrade takes minutes, too."""
    opened.check("clip = veo.generate('To be upgraded', progress=False)")
    assert "  done: " in bar(opened.check("veo.upgrade(clip)"))[-1]


@pytest.mark.parametrize(
    "cell", ["veo.gather('{0} a', '{0} b [refuse]', '{0} c')", "list(veo.map(['{0} a', '{0} b [refuse]', '{0} c']))"]
)
def test_wait_for_many_clips_shows_how_many_have_finished(opened: Kernel, cell: str) -> None:
    """One bar for all of them."""
    output = opened.check(cell.format(f"Many {len(cell)}"))
    texts = bar(output)
    assert texts[0] == "0:00  0 of 3 finished"
    assert texts[-1].endswith("3 of 3 finished: 2 done, 1 refused")
    assert fractions(output) == [0.0, 0.333, 0.667, 1.0]


def test_generator_is_counted_as_it_is_read(opened: Kernel) -> None:
    """Its length is not known before."""
    texts = bar(opened.check("for outcome in veo.map(f'Read {n}' for n in range(4)): pass"))
    assert "4 of 4 finished: 4 done" in texts[-1]


def test_stopped_wait_says_that_the_clips_continue(opened: Kernel) -> None:
    """After a break, or after the stop button, the bar does not look as if it were running."""
    texts = bar(opened.check("for outcome in veo.map(['Left', 'Left, too [stuck]']): break"))
    assert texts[-1] == "stopped waiting; what was submitted continues"


def test_request_that_is_rejected_shows_no_bar(opened: Kernel) -> None:
    """Nothing was submitted, so there is nothing to wait for."""
    assert not opened.run("veo.generate('Rejected', seeds=1)").displayed


def test_bar_of_a_map_is_in_the_cell_that_reads_it(opened: Kernel) -> None:
    """The cell that creates it submits nothing yet."""
    assert not opened.check("outcomes = veo.map(['Lazy', 'Lazy, too'])").displayed
    assert "2 of 2 finished" in bar(opened.check("for outcome in outcomes: pass"))[-1]


def test_progress_false_shows_nothing(opened: Kernel) -> None:
    """For one clip and for many."""
    assert not opened.check("veo.generate('Silent', progress=False)").displayed
    assert not opened.check("veo.gather('Silent', 'Silent, too', progress=False)").displayed


def test_async_session_shows_a_bar_if_asked(kernel: Kernel) -> None:
    """It runs in the kernel's own loop; without being asked it shows nothing, because tasks may wait for many clips."""
    output = kernel.check("""
        import veo_async
        async with veo_async.VeoSession(limits=LIMITS) as session:
            await session.generate("Awaited without a bar")
            await session.gather("Awaited a", "Awaited b", progress=True)
    """)
    assert bar(output)[-1].endswith("2 of 2 finished: 2 done")
