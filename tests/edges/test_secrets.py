"""The key shows nowhere: not in repr, str, args, pickles, logs, URLs or tracebacks with their locals."""

import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veo_async import VeoApi, VeoError
from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse

from .raw_server import Visit, http, raw_server

KEY = "kie_canary_0123456789abcdef"

CALLS: list[Callable[[VeoApi], Awaitable[object]]] = [
    lambda api: api.generate("a dog"),
    lambda api: api.extend("task", "more"),
    lambda api: api.record_info("task"),
    lambda api: api.get_1080p_video("task"),
    lambda api: api.get_4k_video("task"),
    lambda api: api.credit(),
    lambda api: api.download_url("https://example.com/a.mp4"),
    lambda api: api.upload_from_url("https://example.com/a.png"),
    lambda api: api.upload_base64(b"png"),
    lambda api: api.upload_file(b"png"),
]


def shown(error: BaseException) -> str:
    """Everything that anyone could print of *error*; of the traceback, the frames that are not this file's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if frame.filename != __file__])
    assert told.stack
    parts = [repr(error), str(error), repr(error.args), repr(vars(error)), *told.format(), repr(pickle.dumps(error))]
    return "\n".join(parts)


def assert_clean(error: BaseException) -> None:
    """*error* and all that it came from are of our making, and show nothing."""
    assert type(error).__module__.startswith("veo_async.")
    assert KEY not in shown(error)
    assert error.__cause__ is None
    if error.__context__ is not None:
        assert_clean(error.__context__)


async def echo(visit: Visit) -> None:
    """Send the whole request back as the message of a refusal, key and all."""
    request = await visit.read_request()
    message = request.decode("latin-1").replace("\\", "").replace('"', "'").replace("\r\n", " | ")
    await visit.send(http(b'{"code":422,"msg":"%s","data":null}' % message.encode("ascii", "replace")))


async def echo_raw(visit: Visit) -> None:
    """Send it back as it is, without an envelope."""
    await visit.send(http(await visit.read_request(), status="500 Oops"))


async def vanish(visit: Visit) -> None:
    await visit.read_request()
    visit.reset()


@pytest.mark.parametrize("behave", [echo, echo_raw, vanish], ids=lambda behave: behave.__name__)
@pytest.mark.parametrize("call", CALLS)
async def test_no_error_shows_the_key(
    call: Callable[[VeoApi], Awaitable[object]],
    behave: Callable[[Visit], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even a server that echoes the request into its answer gets the key into nothing of ours."""
    with caplog.at_level(logging.DEBUG):
        async with raw_server(behave) as server, VeoApi(KEY, base_url=server.url) as api:
            with pytest.raises(VeoError) as caught:
                await call(api)
    assert_clean(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(api)


async def test_refused_connection_shows_nothing() -> None:
    """The error of a connection that was never made carries no object of the HTTP library."""
    async with VeoApi(KEY, base_url="http://127.0.0.1:1") as api:
        with pytest.raises(VeoError) as caught:
            await api.generate("a dog")
    assert_clean(caught.value)


class Echoing:
    """A transport that answers with a piece of JSON and remembers the call."""

    def __init__(self, answer: HttpResponse) -> None:
        self.answer = answer
        self.calls: list[HttpRequest] = []

    async def send(self, call: HttpRequest) -> HttpResponse:
        self.calls.append(call)
        return self.answer

    async def close(self) -> None:
        pass


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(max_size=50),
    status=st.sampled_from([200, 400, 401, 403, 429, 500, 503]),
    code=st.sampled_from([200, 400, 401, 422, 500]),
)
async def test_whatever_a_server_says_around_the_key(before: str, status: int, code: int) -> None:
    """Property: no answer that quotes the key makes an error or a value that shows it."""
    quoted = before.encode("utf-8", "ignore").hex()
    words = f"{quoted} Bearer {KEY}"
    body = f'{{"code":{code},"msg":"{words}","data":{{"echo":"{words}"}}}}'.encode()
    transport = Echoing(HttpResponse(status=status, body=body))
    api = VeoApi(KEY, transport=transport)
    try:
        value = await api.record_info("task")
    except VeoError as error:
        assert_clean(error)
    else:
        assert KEY not in repr(value)
        assert KEY not in repr(value.raw)
    assert KEY not in repr(transport.calls)
    assert KEY not in transport.calls[0].url
    assert transport.calls[0].headers["Authorization"] == f"Bearer {KEY}"
