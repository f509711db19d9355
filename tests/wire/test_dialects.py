"""The differences between providers, as data."""

import pytest

from veo_async._wire import APIKLEY, KIE, VEO, VideoRequest, dialect_named
from veo_async._wire.endpoints import ENDPOINTS
from veo_async.errors import InvalidRequest, UnsupportedByProvider


def test_dialects_are_found_by_name() -> None:
    """A dialect is returned as it is."""
    assert dialect_named("kie") is KIE
    assert dialect_named("apikley") is APIKLEY
    assert dialect_named(KIE) is KIE


@pytest.mark.parametrize("name", ["", "KIE", "veo3api"])
def test_unknown_provider_is_an_error(name: str) -> None:
    """The error lists the known providers."""
    with pytest.raises(InvalidRequest) as caught:
        dialect_named(name)
    assert (caught.value.field, caught.value.value) == ("provider", name)
    assert "'kie' or 'apikley'" in str(caught.value)


def test_urls_are_the_documented_ones() -> None:
    """Hosts and key pages, without a trailing slash."""
    assert (KIE.base_url, KIE.upload_url) == ("https://api.kie.ai", "https://kieai.redpandaai.co")
    assert (APIKLEY.base_url, APIKLEY.upload_url) == ("https://api.apikley.ru", None)
    assert (KIE.key_page, APIKLEY.key_page) == ("https://kie.ai/api-key", "https://app.apikley.ru/keys")
    assert (KIE.log_page, APIKLEY.log_page) == ("https://kie.ai/logs", None)


def test_variant_has_the_log_page_only_if_its_base_url_is_the_same() -> None:
    """The tasks of another host are not on kie's page."""
    assert KIE.variant("renamed").log_page == KIE.log_page
    assert KIE.variant("mirror", base_url="https://mirror.example").log_page is None
    own = {"base_url": "https://mirror.example", "log_page": "https://mirror.example/logs"}
    assert KIE.variant("mirror", **own).log_page == "https://mirror.example/logs"


def test_undocumented_endpoints_are_refused() -> None:
    """kie has all endpoints; Apikley documents three, and requests to the others are refused."""
    for endpoint in ENDPOINTS:
        KIE.require(endpoint)
        if endpoint.name in ("generate", "record-info", "credit"):
            APIKLEY.require(endpoint)
        else:
            with pytest.raises(UnsupportedByProvider) as caught:
                APIKLEY.require(endpoint)
            assert caught.value.value == endpoint.name
            assert "credit, generate, record-info" in str(caught.value)


def test_limits_are_the_documented_ones() -> None:
    """Models, ratios, resolutions and durations of each provider."""
    assert (KIE.model_names, APIKLEY.model_names) == (("veo3", "veo3_fast", "veo3_lite"), ("veo3", "veo3_fast"))
    assert KIE.aspect_ratios == APIKLEY.aspect_ratios == ("16:9", "9:16", "Auto")
    assert (KIE.resolutions, APIKLEY.resolutions) == (("720p", "1080p", "4k"), ())
    assert (KIE.durations, APIKLEY.durations) == ((4, 6, 8), ())
    assert (KIE.reference_models, APIKLEY.reference_models) == (("veo3_fast", "veo3_lite"), ("veo3_fast",))
    assert (KIE.reference_ratios, APIKLEY.reference_ratios) == (("16:9", "9:16"), ("16:9",))
    assert KIE.reference_durations == APIKLEY.reference_durations == (8,)
    assert (KIE.extend_models, APIKLEY.extend_models) == (("quality", "fast", "lite"), ())
    assert KIE.defaults["model"] == APIKLEY.defaults["model"] == "veo3_fast"
    assert "resolution" not in APIKLEY.defaults


def test_variant_changes_only_what_is_given() -> None:
    """Spellings are added, everything else stays, and the original is unchanged."""
    mine = APIKLEY.variant("mine", base_url="https://video.example.com", spelling={"watermark": "waterMark"})
    assert (mine.name, mine.base_url) == ("mine", "https://video.example.com")
    assert dict(mine.spelling) == {"aspect_ratio": "aspectRatio", "watermark": "waterMark"}
    wire = VEO.body(VideoRequest("a dog", watermark="W"), mine)
    assert (wire["aspectRatio"], wire["waterMark"]) == ("16:9", "W")
    assert "watermark" not in wire
    assert dict(APIKLEY.spelling) == {"aspect_ratio": "aspectRatio"}
    assert APIKLEY.name == "apikley"


def test_variant_rejects_unknown_changes() -> None:
    """A misspelled name is an error."""
    with pytest.raises(TypeError):
        KIE.variant("mine", basurl="https://video.example.com")


def test_dialects_cannot_be_changed_in_place() -> None:
    """The mappings are read-only, so one user's variant cannot affect another's."""
    with pytest.raises(TypeError):
        KIE.spelling["prompt"] = "text"  # type: ignore[index]
    with pytest.raises(TypeError):
        KIE.defaults["model"] = "veo3"  # type: ignore[index]
