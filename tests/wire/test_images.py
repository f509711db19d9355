"""Local images: detecting their type, references in requests, and hosts that the provider cannot reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async import ExtendRequest, VideoRequest, errors
from veo_async._wire import KIE, VEO, problems_of
from veo_async._wire.hosts import as_ip, is_private, may_connect, unreachable_reason
from veo_async._wire.images import (
    MAX_IMAGE_BYTES,
    LocalImage,
    by_content,
    identify_image,
    is_path,
    local_images,
    with_image,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
LOCAL = identify_image(PNG, "/a folder/ca?t#%.png")


@pytest.mark.parametrize(
    ("content", "extension"), [(PNG, "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF\0\0\0\0WEBP", "webp")], ids=str
)
def test_image_type_is_detected_by_content(content: bytes, extension: str) -> None:
    """The file name does not matter."""
    assert identify_image(content, "x.gif").extension == extension


@pytest.mark.parametrize("content", [b"RIFF\0\0\0\0WAVE", b"\x89PNG", b"\xff\xd8", bytes(100)], ids=repr)
def test_similar_bytes_are_not_an_image(content: bytes) -> None:
    """Only complete signatures count."""
    with pytest.raises(errors.InvalidRequest, match="of an unknown type"):
        identify_image(content, "x.png")


@pytest.mark.parametrize(
    ("content", "type_name"),
    [(b"", "is empty"), (b"GIF89a", "a GIF"), (b"\0\0\0\x18ftypheic", "a HEIC"), (b" <svg>", "an SVG")],
)
def test_error_names_the_actual_type(content: bytes, type_name: str) -> None:
    """The user learns what to convert."""
    with pytest.raises(errors.InvalidRequest, match=type_name):
        identify_image(content, "x.png")


def test_reference_to_a_local_image_is_valid() -> None:
    """It was checked when it was created; a bare path was not and is a problem."""
    assert problems_of(VideoRequest("A", image_urls=[LOCAL.as_reference]), KIE) == ()
    [problem] = problems_of(VideoRequest("A", image_urls=["cat.png"]), KIE)
    assert problem.field == "image_urls"


def test_image_size_is_limited() -> None:
    """The limit itself is accepted, one byte more is not."""
    assert identify_image(PNG.ljust(MAX_IMAGE_BYTES), "x").extension == "png"
    with pytest.raises(errors.InvalidRequest, match="larger than 10 MiB"):
        identify_image(PNG.ljust(MAX_IMAGE_BYTES + 1), "x")


@given(st.text().map(lambda text: "/" + text.replace("\0", "")), st.none() | st.integers(0, 10**12 - 1))
def test_reference_round_trip_keeps_the_image(source: str, until: int | None) -> None:
    """The reference of any path is one printable ASCII word."""
    source = source.encode("utf-8", "ignore").decode()
    image = LocalImage("0" * 64, "webp", source, until)
    assert image.as_reference.isascii()
    assert image.as_reference.isprintable()
    assert LocalImage.parse(image.as_reference) == image


def test_path_that_is_not_utf8_round_trips() -> None:
    """Some file systems have such names."""
    image = LocalImage("0" * 64, "png", "/\udcff.png")
    assert LocalImage.parse(image.as_reference) == image


def test_requests_are_compared_by_image_content() -> None:
    """The folder of an image does not matter; other requests are unchanged."""
    twin = identify_image(PNG, "/elsewhere")
    one, other = (VideoRequest("A", image_urls=["https://x.example/a.png", i.as_reference]) for i in (LOCAL, twin))
    assert one != other
    assert by_content(one) == by_content(other)
    plain, longer = VideoRequest("A"), ExtendRequest("id", "A")
    assert (by_content(plain), by_content(longer)) == (plain, longer)
    assert local_images(one) == (LOCAL,)
    assert local_images(None) == local_images(longer) == ()


def test_local_image_is_never_sent() -> None:
    """The provider could not read it."""
    with pytest.raises(errors.InvalidRequest, match="was not uploaded"):
        VEO.body(VideoRequest("A", image_urls=[LOCAL.as_reference]), KIE)


def test_image_becomes_image_urls() -> None:
    """``image`` and ``image_urls`` together are an error."""
    assert with_image({"image": "a.png", "image_urls": ()}) == {"image_urls": ("a.png",)}
    assert with_image({"seeds": 1}) == {"seeds": 1}
    with pytest.raises(errors.InvalidRequest, match="cannot be combined"):
        with_image({"image": "a.png", "image_urls": ["b.png"]})


def test_path_is_distinguished_from_a_url() -> None:
    """A URL has a scheme."""
    assert is_path("cat.png")
    assert is_path("C:\\cat.png")
    assert not is_path("https://x.example/cat.png")


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "169.254.169.254", "[fd00::1]", "[64:ff9b::a00:1]", "nas.local", "x.internal."]
)
def test_private_hosts_are_unreachable(host: str) -> None:
    """Private addresses and local names cannot be reached from outside."""
    assert "private network" in str(unreachable_reason(f"https://{host}/a.png", allow_loopback=True))


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "x.example", "local", "internal.example", "localhost.example"]
)
def test_unclear_hosts_are_allowed(host: str) -> None:
    """A name is only rejected if its text decides the matter."""
    assert unreachable_reason(f"https://{host}/a.png", allow_loopback=False) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost."])
def test_loopback_is_reachable_only_if_allowed(host: str) -> None:
    """Only a local simulator can reach it."""
    assert unreachable_reason(f"http://{host}/a.png", allow_loopback=True) is None
    assert unreachable_reason(f"http://{host}/a.png", allow_loopback=False)


@pytest.mark.parametrize("user", ["user@", "user:word@", ":word@"])
def test_url_with_credentials_is_unreachable(user: str) -> None:
    """The provider cannot log in."""
    assert "credentials" in str(unreachable_reason(f"https://{user}x.example/a.png", allow_loopback=True))


def test_host_name_is_not_an_ip_address() -> None:
    """No socket is opened to a name."""
    assert as_ip("x.example") is None
    assert not may_connect("x.example", allow_loopback=True)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "::1", "169.254.169.254", "LOCALHOST.", "metadata", "nas.local", "2130706433", "127.1"]
)
def test_host_that_can_only_be_private_is_private(host: str) -> None:
    """Addresses in every notation, and names that never leave a network."""
    assert is_private(host, allow_loopback=False)


@pytest.mark.parametrize("host", ["8.8.8.8", "files.example.com", "a.co", "0x7f.example"])
def test_public_host_is_not_private(host: str) -> None:
    """A name that could be public is one."""
    assert not is_private(host, allow_loopback=False)


@pytest.mark.parametrize("host", ["localhost", "x.localhost", "127.0.0.1"])
def test_this_machine_is_private_unless_it_is_allowed(host: str) -> None:
    """The permission covers loopback only."""
    assert is_private(host, allow_loopback=False)
    assert not is_private(host, allow_loopback=True)
    assert is_private("10.0.0.1", allow_loopback=True)
