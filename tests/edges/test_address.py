"""Which addresses may be given the key."""

import logging

import pytest

from veo_async import VeoApi
from veo_async._api.base_urls import BaseUrls, normalize_base_url, resolve_base_urls
from veo_async._wire import APIKLEY, KIE
from veo_async.errors import InvalidBaseUrl

KEY = "kie_canary_0123456789abcdef"


def found(**changes: object) -> BaseUrls:
    options: dict[str, object] = {
        "base_url": None,
        "upload_url": None,
        "environ": {},
        "allow_insecure_http": False,
        **changes,
    }
    return resolve_base_urls(KIE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("https://api.kie.ai", "https://api.kie.ai"),
        ("https://api.kie.ai/", "https://api.kie.ai"),
        ("https://api.kie.ai/api/v1", "https://api.kie.ai"),
        ("https://api.kie.ai/api/v1/", "https://api.kie.ai"),
        ("https://proxy.example.com/kie/", "https://proxy.example.com/kie"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses_are_tidied(given: str, clean: str) -> None:
    """A trailing slash and a pasted API path do no harm; plain http is fine on this machine."""
    assert normalize_base_url(given, allow_insecure_http=False) == clean


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "api.kie.ai",
        "ftp://api.kie.ai",
        "https://",
        "https://user:secret@api.kie.ai",
        "https://user@api.kie.ai",
        "https://api.kie.ai?key=1",
        "https://api.kie.ai#x",
        "https://api kie.ai",
        "https://[::1",
        "https://api.kie.ai:port",
        "http://api.kie.ai",
        "http://127.0.0.1.example.com",
    ],
)
def test_bad_addresses_are_refused(bad: str) -> None:
    """What is no URL, holds a password, or would show the key on the way is refused without quoting it."""
    with pytest.raises(InvalidBaseUrl) as caught:
        normalize_base_url(bad, allow_insecure_http=False)
    assert "secret" not in str(caught.value)


def test_insecure_http_must_be_allowed_by_name() -> None:
    """Plain http to another machine is a choice that is spelled out."""
    assert normalize_base_url("http://10.0.0.5", allow_insecure_http=True) == "http://10.0.0.5"


def test_sources_come_in_order() -> None:
    """Argument, VEO_BASE_URL, KIE_BASE_URL, then the dialect."""
    environ = {"KIE_BASE_URL": "https://kie.example.com", "VEO_BASE_URL": "https://veo.example.com"}
    assert found(base_url="https://mine.example.com", environ=environ).api == "https://mine.example.com"
    assert found(environ=environ).api == "https://veo.example.com"
    del environ["VEO_BASE_URL"]
    assert found(environ=environ).api == "https://kie.example.com"
    assert found() == BaseUrls("https://api.kie.ai", "https://kieai.redpandaai.co")


def test_given_address_serves_uploads_too() -> None:
    """Pointed at a simulator, the key never goes to the real upload host; an upload address wins."""
    assert found(base_url="http://127.0.0.1:1").upload == "http://127.0.0.1:1"
    both = found(base_url="http://127.0.0.1:1", upload_url="http://127.0.0.1:2")
    assert both.upload == "http://127.0.0.1:2"
    assert found(environ={"KIE_UPLOAD_BASE_URL": "https://up.example.com"}).upload == "https://up.example.com"


def test_dialect_without_uploads_has_no_upload_address() -> None:
    """Apikley documents no upload host, so none is made up."""
    addresses = resolve_base_urls(APIKLEY, base_url=None, upload_url=None, environ={}, allow_insecure_http=False)
    assert addresses == BaseUrls("https://api.apikley.ru", None)


def test_key_going_elsewhere_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """An address that is neither the provider's nor this machine gets a warning, without the key."""
    with caplog.at_level(logging.WARNING):
        VeoApi(KEY, base_url="https://mirror.example.com")
    assert "mirror.example.com" in caplog.text
    assert KEY not in caplog.text
    caplog.clear()
    VeoApi(KEY, base_url="http://127.0.0.1:1")
    VeoApi(KEY, base_url="https://api.kie.ai")
    assert caplog.text == ""
