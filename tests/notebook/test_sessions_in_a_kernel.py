"""Both sessions in a real Jupyter kernel, where an event loop runs already, against a simulator."""

from veo_async.simulator import Simulator

from .conftest import FIRST_CELL
from .kernels import Kernel


def test_session_in_a_with_block_returns_a_clip(kernel: Kernel) -> None:
    """The cell needs no `await`."""
    output = kernel.check("""
        from veo_async.sync import VeoSession
        with VeoSession(limits=LIMITS) as veo:
            print(veo.generate("With a block").url)
    """)
    assert output.printed.startswith("http://127.0.0.1")


def test_session_stays_open_over_several_cells_until_close(kernel: Kernel) -> None:
    """The first call opens it; after `close` it raises `SessionClosed`."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    kernel.check("job = veo.submit('Over several cells')")
    assert "ready" in kernel.check("clip = job.wait(timeout=20); print(job)").printed
    kernel.check("veo.close()")
    assert kernel.run("veo.submit('Too late')").error == "SessionClosed"


def test_interrupted_cell_leaves_its_job_running(kernel: Kernel, sim: Simulator) -> None:
    """The stop button ends the waiting only: the same request finds the same job, charged once."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")

    def interrupt(text: str) -> None:
        if "waiting" in text:
            kernel.interrupt()

    charged = len(sim.charges)
    cell = """
        job = veo.submit("Interrupted [stuck]")
        job.accepted()
        print("waiting", flush=True)
        job.wait()
    """
    assert kernel.run(cell, on_print=interrupt).error == "KeyboardInterrupt"
    assert kernel.check("print(job.state)").printed == "running\n"
    assert kernel.check("print(veo.submit('Interrupted [stuck]').task_id == job.task_id)").printed == "True\n"
    assert len(sim.charges) == charged + 1
    kernel.check("veo.close()")


def test_restarted_kernel_finds_its_jobs_on_the_ledger(kernel: Kernel, sim: Simulator) -> None:
    """A restart without `close` loses no job, and no job is charged twice."""
    cell = """
        from veo_async.sync import VeoSession
        veo = VeoSession(limits=LIMITS, ledger="jobs.db")
        job = veo.submit("Restarted [slow]", key="restarted")
        print(job.accepted())
    """
    charged = len(sim.charges)
    task_id = kernel.check(cell).printed.strip()
    kernel.restart()
    kernel.check(FIRST_CELL)
    assert kernel.check(cell).printed.strip() == task_id
    assert kernel.check("print(job.wait(timeout=20).task_id); veo.close()").printed.strip() == task_id
    assert len(sim.charges) == charged + 1


def test_async_session_works_with_top_level_await(kernel: Kernel) -> None:
    """The kernel's own loop runs it, with `async with` and over several cells."""
    output = kernel.check("""
        import veo_async
        async with veo_async.VeoSession(limits=LIMITS) as session:
            outcomes = [outcome async for outcome in session.map(["An awaited dog", "An awaited cat [refuse]"])]
        print(sorted(type(outcome).__name__ for outcome in outcomes))
    """)
    assert output.printed == "['Done', 'Refused']\n"


def test_async_session_stays_open_over_several_cells(kernel: Kernel) -> None:
    """Without a block, it is entered and closed by two cells."""
    kernel.check("import veo_async; session = await veo_async.VeoSession(limits=LIMITS).__aenter__()")
    kernel.check("job = await session.submit('Awaited over several cells')")
    assert "http://127.0.0.1" in kernel.check("print((await job).url)").printed
    kernel.check("await session.close()")
