"""Images before they are at a URL: what they are, how a request holds them, and which addresses nobody can reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async import ExtendRequest, VideoRequest, errors
from veo_async._wire import KIE, problems_of
from veo_async._wire.converter import to_wire
from veo_async._wire.hosts import as_ip, may_connect, unreachable_reason
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
HELD = identify_image(PNG, "/a folder/ca?t#%.png")


@pytest.mark.parametrize(
    ("content", "ending"), [(PNG, "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF\0\0\0\0WEBP", "webp")], ids=str
)
def test_kinds_are_told_by_their_bytes(content: bytes, ending: str) -> None:
    """Not by a name."""
    assert identify_image(content, "x.gif").extension == ending


@pytest.mark.parametrize("content", [b"RIFF\0\0\0\0WAVE", b"\x89PNG", b"\xff\xd8", bytes(100)], ids=repr)
def test_what_only_begins_like_a_picture_is_none(content: bytes) -> None:
    """Of no known kind."""
    with pytest.raises(errors.InvalidRequest, match="of no known kind"):
        identify_image(content, "x.png")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"GIF89a", "a GIF"), (b"\0\0\0\x18ftypheic", "a HEIC"), (b" <svg>", "an SVG")],
)
def test_what_it_is_instead_is_said(content: bytes, told: str) -> None:
    """So that whoever reads it knows what to convert."""
    with pytest.raises(errors.InvalidRequest, match=told):
        identify_image(content, "x.png")


def test_a_held_image_is_no_fault_of_its_request() -> None:
    """It was checked when it was taken in; a bare path, which was not, is one."""
    assert problems_of(VideoRequest("A", image_urls=[HELD.as_reference]), KIE) == ()
    [fault] = problems_of(VideoRequest("A", image_urls=["cat.png"]), KIE)
    assert fault.field == "image_urls"


def test_the_size_has_a_bound() -> None:
    """Exactly as much is taken, one byte more is not."""
    assert identify_image(PNG.ljust(MAX_IMAGE_BYTES), "x").extension == "png"
    with pytest.raises(errors.InvalidRequest, match="larger than 10 MiB"):
        identify_image(PNG.ljust(MAX_IMAGE_BYTES + 1), "x")


@given(st.text().map(lambda text: "/" + text.replace("\0", "")), st.none() | st.integers(0, 10**12 - 1))
def test_a_held_image_is_read_back(source: str, until: int | None) -> None:
    """Whatever its path, it is one word of plain letters."""
    source = source.encode("utf-8", "ignore").decode()
    image = LocalImage("0" * 64, "webp", source, until)
    assert image.as_reference.isascii()
    assert image.as_reference.isprintable()
    assert LocalImage.parse(image.as_reference) == image


def test_a_path_that_is_no_utf8_is_read_back() -> None:
    """As some file systems have them."""
    image = LocalImage("0" * 64, "png", "/\udcff.png")
    assert LocalImage.parse(image.as_reference) == image


def test_requests_are_the_same_by_content() -> None:
    """Wherever their images lie; other requests are as they are."""
    twin = identify_image(PNG, "/elsewhere")
    one, other = (VideoRequest("A", image_urls=["https://x.example/a.png", i.as_reference]) for i in (HELD, twin))
    assert one != other
    assert by_content(one) == by_content(other)
    plain, longer = VideoRequest("A"), ExtendRequest("id", "A")
    assert (by_content(plain), by_content(longer)) == (plain, longer)
    assert local_images(one) == (HELD,)
    assert local_images(None) == local_images(longer) == ()


def test_a_held_image_never_goes_on_the_wire() -> None:
    """Nobody there could read it."""
    with pytest.raises(errors.InvalidRequest, match="was not uploaded"):
        to_wire(VideoRequest("A", image_urls=[HELD.as_reference]), KIE)


def test_image_is_one_of_image_urls() -> None:
    """Or stands alone; both are one too many."""
    assert with_image({"image": "a.png", "image_urls": ()}) == {"image_urls": ("a.png",)}
    assert with_image({"seeds": 1}) == {"seeds": 1}
    with pytest.raises(errors.InvalidRequest, match="stands beside"):
        with_image({"image": "a.png", "image_urls": ["b.png"]})


def test_paths_and_urls() -> None:
    """A URL names its scheme."""
    assert is_path("cat.png")
    assert is_path("C:\\cat.png")
    assert not is_path("https://x.example/cat.png")


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "169.254.169.254", "[fd00::1]", "[64:ff9b::a00:1]", "nas.local", "x.internal."]
)
def test_hosts_nobody_can_reach(host: str) -> None:
    """Whoever asks."""
    assert "private network" in str(unreachable_reason(f"https://{host}/a.png", allow_loopback=True))


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "x.example", "local", "internal.example", "localhost.example"]
)
def test_hosts_that_may_be_reached(host: str) -> None:
    """What the text does not settle is not refused."""
    assert unreachable_reason(f"https://{host}/a.png", allow_loopback=False) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "a.localhost."])
def test_this_machine_is_reached_by_itself_alone(host: str) -> None:
    """A simulator reaches it."""
    assert unreachable_reason(f"http://{host}/a.png", allow_loopback=True) is None
    assert unreachable_reason(f"http://{host}/a.png", allow_loopback=False)


@pytest.mark.parametrize("user", ["user@", "user:word@", ":word@"])
def test_the_provider_signs_in_nowhere(user: str) -> None:
    """A URL with a user name is of no use to it."""
    assert "user name" in str(unreachable_reason(f"https://{user}x.example/a.png", allow_loopback=True))


def test_names_are_no_addresses() -> None:
    """No socket is opened to one."""
    assert as_ip("x.example") is None
    assert not may_connect("x.example", allow_loopback=True)
