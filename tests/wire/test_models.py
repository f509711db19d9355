"""The table of models is the only place that knows a model: adding one takes one entry."""

import ast
from pathlib import Path
from random import Random
from typing import get_args

import pytest

import veo_async
from veo_async import Model, VideoRequest
from veo_async._rules.credits.prices import PRICES, price_of, prices_of
from veo_async._rules.polling.durations import TaskClass, prior_for
from veo_async._wire import APIKLEY, KIE, MODELS, ExtendRequest, problems_of
from veo_async._wire.models import (
    DEFAULT_EXTEND_MODEL,
    DEFAULT_MODEL,
    DEFAULT_MODEL_2025,
    AspectRatio,
    AspectRatioName,
    DurationSeconds,
    ExtendModel,
    GenerationType,
    GenerationTypeName,
    ModelName,
    RenderTime,
    Resolution,
    ResolutionName,
    VideoModel,
    find_model,
)
from veo_async.simulator.provider.durations import draw_duration
from veo_async.simulator.provider.prices import extend_credits, video_credits

TURBO = VideoModel(
    name="veo9_turbo",
    providers=frozenset({"kie"}),
    generation_types=(GenerationType.TEXT,),
    aspect_ratios=("16:9",),
    resolutions=("720p",),
    durations=(8,),
    extend_name="turbo",
    credits={"720p": 7.0},
    extend_credits=3.0,
    expected=RenderTime(20.0, 0.2),
    simulated=RenderTime(21.0, 0.2),
)
WITH_TURBO = (*MODELS, TURBO)
PROVIDER = KIE.variant("with-turbo", models=WITH_TURBO)


def test_added_model_is_validated_by_its_entry() -> None:
    """The new model is accepted with what its entry supports, and nothing else."""
    assert problems_of(VideoRequest("a dog", model="veo9_turbo", resolution="720p", duration=8), PROVIDER) == ()
    assert problems_of(ExtendRequest("4c9a", "it runs", model="turbo"), PROVIDER) == ()
    request = VideoRequest("a dog", model="veo9_turbo", resolution="4k", duration=4, aspect_ratio="9:16")
    assert {problem.field for problem in problems_of(request, PROVIDER)} == {"resolution", "duration", "aspect_ratio"}


def test_added_model_leaves_the_limits_of_other_models_alone() -> None:
    """Each model is checked against its own entry, not against what the provider supports somewhere."""
    assert problems_of(VideoRequest("a dog", model="veo3", resolution="4k", duration=4), PROVIDER) == ()


@pytest.mark.parametrize("generation_type", [GenerationType.FRAMES, GenerationType.REFERENCE])
def test_generation_type_that_the_model_lacks_is_a_problem(generation_type: str) -> None:
    """A generation type must be supported by the model; the problem names the models that support it."""
    options = {"generation_type": generation_type, "image_urls": ["https://example.com/a.png"]}
    (problem,) = problems_of(VideoRequest("a dog", model="veo9_turbo", **options), PROVIDER)  # type: ignore[arg-type]  # a plain dict of options
    assert problem.field == "model"
    assert "veo3_fast or veo3_lite" in problem.rule


def test_added_model_has_a_price() -> None:
    """The prices of a generation and of an extension come from the entry."""
    prices = prices_of(WITH_TURBO)
    assert price_of(VideoRequest("a dog", model="veo9_turbo"), prices) == 7.0
    assert price_of(ExtendRequest("4c9a", "it runs", model="turbo"), prices) == 3.0
    assert {name: row for name, row in prices.items() if name in PRICES and name != "extend"} == {
        name: row for name, row in PRICES.items() if name != "extend"
    }


def test_added_model_has_an_expected_duration() -> None:
    """Polling starts with the duration in the entry; without an entry it starts with a wide guess."""
    tasks = TaskClass("kie", "veo9_turbo")
    assert prior_for(tasks, WITH_TURBO) == RenderTime(20.0, 0.2)
    assert prior_for(tasks) == RenderTime(150.0, 0.70)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_is_known_everywhere(model: VideoModel) -> None:
    """Validation, prices, expected durations and the simulator know every entry."""
    assert problems_of(VideoRequest("a dog", model=model.name), KIE) == ()
    assert price_of(VideoRequest("a dog", model=model.name)) == model.credits["720p"]
    assert prior_for(TaskClass("kie", model.name)) == model.expected
    assert [video_credits(model.name, resolution) for resolution in model.resolutions] == list(model.credits.values())
    assert (extend_credits(model.extend_name) if model.extend_name else None) == model.extend_credits
    assert draw_duration(model.name, Random(1), {}) > 0


def test_enum_and_literals_equal_the_table() -> None:
    """The names that editors suggest are exactly those of the table."""
    assert list(Model) == [model.name for model in MODELS]
    assert set(get_args(ExtendModel)) == {model.extend_name for model in MODELS if model.extend_name}
    assert DEFAULT_EXTEND_MODEL in get_args(ExtendModel)
    assert all(find_model(name) is not None for name in (DEFAULT_MODEL, DEFAULT_MODEL_2025))


def test_dialects_offer_the_models_that_name_them() -> None:
    """A dialect has the entries whose `providers` contain it."""
    for dialect in (KIE, APIKLEY):
        assert dialect.model_names == tuple(model.name for model in MODELS if dialect.name in model.providers)


def test_no_other_module_names_a_model() -> None:
    """A model's name appears as a value in the table only (examples aside), so a new one is added in one file."""
    names = {model.name for model in MODELS}
    package = Path(veo_async.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert {path for path in found if not path.startswith("examples/")} == {"_wire/models.py"}


def test_literals_of_the_options_equal_the_table() -> None:
    """What an editor offers is what the models support."""
    assert set(get_args(ModelName)) == {model.name for model in MODELS} == {*Model}
    assert set(get_args(GenerationTypeName)) == {*GenerationType}
    assert (
        set(get_args(AspectRatioName)) == {*AspectRatio} == {ratio for model in MODELS for ratio in model.aspect_ratios}
    )
    assert set(get_args(ResolutionName)) == {*Resolution} == {size for model in MODELS for size in model.resolutions}
    assert set(get_args(DurationSeconds)) == {seconds for model in MODELS for seconds in model.durations}
