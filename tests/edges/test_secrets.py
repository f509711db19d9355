"""The key never appears: not in repr, str, args, pickles, logs, URLs or tracebacks with locals."""

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
    """Return everything that can be printed of *error*; of the traceback only the frames outside this file."""
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
    formatted.stack = traceback.StackSummary.from_list(
        [frame for frame in formatted.stack if frame.filename != __file__]
    )
    assert formatted.stack
    parts = [
        repr(error),
        str(error),
        repr(error.args),
        repr(vars(error)),
        *formatted.format(),
        repr(pickle.dumps(error)),
    ]
    if isinstance(error, VeoError):
        parts.append(error.describe())
    return "\n".join(parts)


def assert_clean(error: BaseException) -> None:
    """Check that *error* and its causes are our own classes and do not contain the key."""
    assert type(error).__module__.startswith("veo_async.")
    assert KEY not in shown(error)
    assert error.__cause__ is None
    if error.__context__ is not None:
        assert_clean(error.__context__)


async def echo(visit: Visit) -> None:
    """Send the whole request back as the message of an error, including the key."""
    request = await visit.read_request()
    message = request.decode("latin-1").replace("\\", "").replace('"', "'").replace("\r\n", " | ")
    await visit.send(http(b'{"code":422,"msg":"%s","data":null}' % message.encode("ascii", "replace")))


async def echo_raw(visit: Visit) -> None:
    """Send the request back as it is, without an envelope."""
    await visit.send(http(await visit.read_request(), status="500 Oops"))


async def vanish(visit: Visit) -> None:
    """Reset the connection after the request."""
    await visit.read_request()
    visit.reset()


@pytest.mark.parametrize("behave", [echo, echo_raw, vanish], ids=lambda behave: behave.__name__)
@pytest.mark.parametrize("call", CALLS)
async def test_no_error_shows_the_key(
    call: Callable[[VeoApi], Awaitable[object]],
    behave: Callable[[Visit], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even if the server echoes the request, none of our errors and logs contains the key."""
    with caplog.at_level(logging.DEBUG):
        async with raw_server(behave) as server, VeoApi(KEY, base_url=server.url) as api:
            with pytest.raises(VeoError) as caught:
                await call(api)
    assert_clean(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(api)


async def test_error_of_a_refused_connection_does_not_contain_the_key() -> None:
    """It has no object of the HTTP library."""
    async with VeoApi(KEY, base_url="http://127.0.0.1:1") as api:
        with pytest.raises(VeoError) as caught:
            await api.generate("a dog")
    assert_clean(caught.value)


class Echoing:
    """A transport that returns one response and records the requests."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self.calls: list[HttpRequest] = []

    async def send(self, call: HttpRequest) -> HttpResponse:
        self.calls.append(call)
        return self.response

    async def close(self) -> None:
        pass


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(max_size=50),
    status=st.sampled_from([200, 400, 401, 403, 429, 500, 503]),
    code=st.sampled_from([200, 400, 401, 422, 500]),
)
async def test_response_that_quotes_the_key_never_shows_it(before: str, status: int, code: int) -> None:
    """Property: no such response makes an error or a value that contains the key."""
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
