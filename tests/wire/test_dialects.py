"""What sets one provider apart from another, as data."""

import pytest

from veo_async._wire import APIKLEY, KIE, VideoRequest, dialect_named
from veo_async._wire.converter import to_wire
from veo_async._wire.endpoints import ENDPOINTS
from veo_async.errors import InvalidRequest, UnsupportedByProvider


def test_names() -> None:
    """The two that are known go by their names; a dialect stands for itself."""
    assert dialect_named("kie") is KIE
    assert dialect_named("apikley") is APIKLEY
    assert dialect_named(KIE) is KIE


@pytest.mark.parametrize("name", ["", "KIE", "veo3api"])
def test_a_provider_that_is_not_known(name: str) -> None:
    """The error names those that are."""
    with pytest.raises(InvalidRequest) as caught:
        dialect_named(name)
    assert (caught.value.field, caught.value.value) == ("provider", name)
    assert "'kie' or 'apikley'" in str(caught.value)


def test_addresses() -> None:
    """Hosts and key pages, as the pages give them, without a slash at the end."""
    assert (KIE.base_url, KIE.upload_url) == ("https://api.kie.ai", "https://kieai.redpandaai.co")
    assert (APIKLEY.base_url, APIKLEY.upload_url) == ("https://api.apikley.ru", None)
    assert (KIE.key_page, APIKLEY.key_page) == ("https://kie.ai/api-key", "https://app.apikley.ru/keys")


def test_endpoints() -> None:
    """kie knows every endpoint; of Apikley three pages are known and the rest is refused rather than tried."""
    for endpoint in ENDPOINTS:
        KIE.require(endpoint)
        if endpoint.name in ("generate", "record-info", "credit"):
            APIKLEY.require(endpoint)
        else:
            with pytest.raises(UnsupportedByProvider) as caught:
                APIKLEY.require(endpoint)
            assert caught.value.value == endpoint.name
            assert "credit, generate, record-info" in str(caught.value)


def test_documented_values() -> None:
    """Models, ratios, sizes and lengths of each provider's pages."""
    assert (KIE.model_names, APIKLEY.model_names) == (("veo3", "veo3_fast", "veo3_lite"), ("veo3", "veo3_fast"))
    assert KIE.aspect_ratios == APIKLEY.aspect_ratios == ("16:9", "9:16", "Auto")
    assert (KIE.resolutions, APIKLEY.resolutions) == (("720p", "1080p", "4k"), ())
    assert (KIE.durations, APIKLEY.durations) == ((4, 6, 8), ())
    assert (KIE.reference_models, APIKLEY.reference_models) == (("veo3_fast", "veo3_lite"), ("veo3_fast",))
    assert (KIE.reference_ratios, APIKLEY.reference_ratios) == (("16:9", "9:16"), ("16:9",))
    assert KIE.reference_durations == APIKLEY.reference_durations == (8,)
    assert (KIE.extend_models, APIKLEY.extend_models) == (("fast", "quality", "lite"), ())
    assert KIE.defaults["model"] == APIKLEY.defaults["model"] == "veo3_fast"
    assert "resolution" not in APIKLEY.defaults


def test_a_custom_dialect() -> None:
    """A mirror is one line: what it changes changes, spellings are added, the rest and the original stay."""
    mine = APIKLEY.variant("mine", base_url="https://video.example.com", spelling={"watermark": "waterMark"})
    assert (mine.name, mine.base_url) == ("mine", "https://video.example.com")
    assert dict(mine.spelling) == {"aspect_ratio": "aspectRatio", "watermark": "waterMark"}
    wire = to_wire(VideoRequest("a dog", watermark="W"), mine)
    assert (wire["aspectRatio"], wire["waterMark"]) == ("16:9", "W")
    assert "watermark" not in wire
    assert dict(APIKLEY.spelling) == {"aspect_ratio": "aspectRatio"}
    assert APIKLEY.name == "apikley"


def test_a_custom_dialect_with_a_misspelled_change() -> None:
    """A change of something that does not exist is no silent no-op."""
    with pytest.raises(TypeError):
        KIE.variant("mine", basurl="https://video.example.com")


def test_dialects_cannot_be_changed_in_place() -> None:
    """One user's mirror cannot leak into another's: the tables are read-only."""
    with pytest.raises(TypeError):
        KIE.spelling["prompt"] = "text"  # type: ignore[index]
    with pytest.raises(TypeError):
        KIE.defaults["model"] = "veo3"  # type: ignore[index]
