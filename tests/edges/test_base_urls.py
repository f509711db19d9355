"""Which URLs may receive the API key."""

import logging

import pytest

from veo_async import VeoApi
from veo_async._api.base_urls import BaseUrls, normalize_base_url, resolve_base_urls
from veo_async._wire import APIKLEY, KIE
from veo_async.errors import InvalidBaseUrl

KEY = "kie_canary_0123456789abcdef"


def resolve(**changes: object) -> BaseUrls:
    """Return the URLs of kie with these options."""
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
def test_base_url_is_normalized(given: str, clean: str) -> None:
    """A trailing slash and a pasted API path are removed; plain http is allowed on this machine."""
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
def test_unsafe_or_invalid_base_url_is_refused(bad: str) -> None:
    """The error does not quote the URL, which may contain a password, but says what to do."""
    with pytest.raises(InvalidBaseUrl) as caught:
        normalize_base_url(bad, allow_insecure_http=False)
    assert "secret" not in str(caught.value)
    assert caught.value.remedy


def test_insecure_http_must_be_allowed_explicitly() -> None:
    """Plain http to another machine is refused by default, and the error names the option."""
    assert normalize_base_url("http://10.0.0.5", allow_insecure_http=True) == "http://10.0.0.5"
    with pytest.raises(InvalidBaseUrl, match="allow_insecure_http=True"):
        normalize_base_url("http://10.0.0.5", allow_insecure_http=False)


def test_base_url_sources_come_in_order() -> None:
    """Argument, VEO_BASE_URL, KIE_BASE_URL, then the dialect."""
    environ = {"KIE_BASE_URL": "https://kie.example.com", "VEO_BASE_URL": "https://veo.example.com"}
    assert resolve(base_url="https://mine.example.com", environ=environ).api == "https://mine.example.com"
    assert resolve(environ=environ).api == "https://veo.example.com"
    del environ["VEO_BASE_URL"]
    assert resolve(environ=environ).api == "https://kie.example.com"
    assert resolve() == BaseUrls("https://api.kie.ai", "https://kieai.redpandaai.co")


def test_given_base_url_serves_uploads_too() -> None:
    """With a simulator the key never goes to the real upload host; an explicit upload URL counts."""
    assert resolve(base_url="http://127.0.0.1:1").upload == "http://127.0.0.1:1"
    both = resolve(base_url="http://127.0.0.1:1", upload_url="http://127.0.0.1:2")
    assert both.upload == "http://127.0.0.1:2"
    assert resolve(environ={"KIE_UPLOAD_BASE_URL": "https://up.example.com"}).upload == "https://up.example.com"


def test_dialect_without_uploads_has_no_upload_url() -> None:
    """Apikley documents no upload host."""
    urls = resolve_base_urls(APIKLEY, base_url=None, upload_url=None, environ={}, allow_insecure_http=False)
    assert urls == BaseUrls("https://api.apikley.ru", None)


def test_sending_the_key_to_another_host_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A URL that is neither the provider's nor this machine is logged as a warning, without the key."""
    with caplog.at_level(logging.WARNING):
        VeoApi(KEY, base_url="https://mirror.example.com")
    assert "mirror.example.com" in caplog.text
    assert KEY not in caplog.text
    caplog.clear()
    VeoApi(KEY, base_url="http://127.0.0.1:1")
    VeoApi(KEY, base_url="https://api.kie.ai")
    assert caplog.text == ""
