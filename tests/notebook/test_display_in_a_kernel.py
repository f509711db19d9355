"""What a notebook shows for clips, outcomes and lists of them."""

from .kernels import Kernel


def test_clip_and_outcome_are_shown_as_videos(kernel: Kernel) -> None:
    """As the last expression of a cell, saved to disk or not; the text for a terminal is one line."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    shown = kernel.check("veo.generate('A dog <b>surfing</b>', save_to='clips/', aspect_ratio='9:16')")
    html = shown.result["text/html"]
    assert 'width="180" height="320" src="data:video/mp4;base64,' in html
    assert "A dog &lt;b&gt;surfing&lt;/b&gt;" in html
    assert shown.result["text/plain"].startswith("Clip(key=")
    assert "\n" not in shown.result["text/plain"]
    html = kernel.check("veo.submit('A cat').finished()").result["text/html"]
    assert 'src="http://127.0.0.1:' in html
    kernel.check("veo.close()")


def test_gathered_outcomes_are_shown_as_a_grid(kernel: Kernel) -> None:
    """`gather` returns such a list; `Outcomes` makes one of what `map` yields."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    shown = kernel.check("veo.gather('A fox', 'A cow [refuse]', 'A hen')")
    html = shown.result["text/html"]
    assert html.count("<video") == 2
    assert "refused: " in html
    assert shown.result["text/plain"] == "<Outcomes: 2 done, 1 refused>"
    html = kernel.check("from veo_async.types import Outcomes; Outcomes(veo.map(['A fox', 'A hen']))").result[
        "text/html"
    ]
    assert html.count("<video") == 2
    kernel.check("veo.close()")


def test_async_gather_is_shown_as_a_grid(kernel: Kernel) -> None:
    """The same list, awaited."""
    shown = kernel.check("""
        import veo_async
        async with veo_async.VeoSession(limits=LIMITS) as session:
            outcomes = await session.gather("An awaited fox", "An awaited hen")
        outcomes
    """)
    assert shown.result["text/html"].count("<video") == 2
