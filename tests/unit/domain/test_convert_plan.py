"""Every row of the decision how to convert, or why not."""

from dataclasses import replace
from itertools import product

import pytest

from mlxk.domain.clone_plan import Refused, TargetState
from mlxk.domain.compatibility import RuntimePackage, Runtimes
from mlxk.domain.convert_plan import (
    AlreadyDone,
    ConvertObservation,
    ConvertPlan,
    ConvertRequest,
    Destination,
    Engine,
    plan_convert,
)
from mlxk.domain.convert_work import Dequantize, Quantize, RepairIndex, Work, is_result, mode_of, work_of
from mlxk.domain.errors import ErrorKind, InvalidInput
from mlxk.domain.families import VISION_CONVERTIBLE
from mlxk.domain.health import assess
from mlxk.domain.manifest import Flaw, Operation, Origin, Refusal
from mlxk.domain.model import FileFact, Invalid, JsonObject, JsonValue, LinkState, SnapshotFacts
from mlxk.domain.quantization import MODES, Packing, packing_of
from mlxk.domain.staging import StagingState
from mlxk.domain.tensors import TensorFact
from tests.unit.domain.building import index, model, shards, weights

LLAMA: JsonObject = {"model_type": "llama", "hidden_size": 128, "intermediate_size": 256}
PACKED: JsonObject = {**LLAMA, "quantization": {"bits": 4, "group_size": 64}}
TEXT = RuntimePackage("mlx-lm", "0.32.2", frozenset({"llama", "gemma3"}))
VISION = RuntimePackage("mlx-vlm", "0.7.10", frozenset(VISION_CONVERTIBLE))
FOUR = Quantize(Packing(4, 64))
WORKS: list[Work] = [RepairIndex(), FOUR, Dequantize()]
INDEX = "model.safetensors.index.json"


def seen(facts: SnapshotFacts | None = None, **changes: object) -> ConvertObservation:
    found = facts or model(config=PACKED)
    observation = ConvertObservation(
        target=Destination(TargetState.ABSENT),
        staging=StagingState.NONE,
        staging_path="/ws/.mlxk-staging-0",
        facts=found,
        health=assess(found),
        runtimes=Runtimes(TEXT, VISION),
    )
    return replace(observation, **changes)  # type: ignore[arg-type]


def wanted(work: Work, *, check_health: bool = True) -> ConvertRequest:
    return ConvertRequest("org/model", "/ws/new", work, check_health)


def planned(work: Work, observation: ConvertObservation, *, check_health: bool = True) -> ConvertPlan:
    plan = plan_convert(wanted(work, check_health=check_health), observation)
    assert isinstance(plan, ConvertPlan), plan
    return plan


def refused(work: Work, observation: ConvertObservation, *, check_health: bool = True) -> Refused:
    plan = plan_convert(wanted(work, check_health=check_health), observation)
    assert isinstance(plan, Refused), plan
    assert plan.message.endswith(".")
    assert plan.hint
    return plan


# What is asked for


@pytest.mark.parametrize(
    ("repair", "bits", "dequantize"), list(product([False, True], [None, 4], [False, True]))
)
def test_exactly_one_kind_of_work(repair: bool, bits: int | None, dequantize: bool) -> None:
    asked = repair + (bits is not None) + dequantize
    if asked != 1:
        with pytest.raises(InvalidInput):
            work_of(repair_index=repair, bits=bits, dequantize=dequantize, group_size=None, mode=None)
        return
    work = work_of(repair_index=repair, bits=bits, dequantize=dequantize, group_size=None, mode=None)
    assert (
        mode_of(work)
        == {0: "repair-index", 1: "quantize", 2: "dequantize"}[
            [repair, bits is not None, dequantize].index(True)
        ]
    )


@pytest.mark.parametrize(("group_size", "mode"), [(64, None), (None, "affine")])
@pytest.mark.parametrize("repair", [True, False])
def test_options_of_quantizing_without_it(repair: bool, group_size: int | None, mode: str | None) -> None:
    with pytest.raises(InvalidInput, match="belong to --quantize"):
        work_of(repair_index=repair, bits=None, dequantize=not repair, group_size=group_size, mode=mode)


@pytest.mark.parametrize(
    ("mode", "bits", "group_size"), list(product([*MODES, "q4_0"], range(10), [None, 0, 16, 32, 64, 128]))
)
def test_modes_have_their_bits_and_group_sizes(mode: str, bits: int, group_size: int | None) -> None:
    known = MODES.get(mode)
    fits = known and bits in known.bits and (group_size is None or group_size in known.group_sizes)
    if known and fits:
        expected = Packing(bits, known.default_group_size if group_size is None else group_size, mode)
        assert packing_of(bits, group_size, mode) == expected
    else:
        with pytest.raises(InvalidInput) as told:
            packing_of(bits, group_size, mode)
        assert told.value.hint


def test_five_bits_names_those_that_are_possible() -> None:
    with pytest.raises(InvalidInput) as told:
        packing_of(5, None, "affine")
    assert told.value.hint == "one of 2, 3, 4, 6, 8"


# Where to


@pytest.mark.parametrize(("state", "work"), list(product(TargetState, WORKS)))
def test_the_target_must_be_free(state: TargetState, work: Work) -> None:
    observation = seen(target=Destination(state))
    if state.free:
        planned(work, observation)
    else:
        assert refused(work, observation).kind is ErrorKind.INVALID_TARGET


@pytest.mark.parametrize("work", WORKS)
def test_never_into_the_source(work: Work) -> None:
    inside = Destination(TargetState.ABSENT, overlaps=True)
    assert refused(work, seen(target=inside)).kind is ErrorKind.INVALID_TARGET


@pytest.mark.parametrize("result", [False, True])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(
    ("state", "target"),
    list(product(StagingState, [TargetState.ABSENT, TargetState.EMPTY, TargetState.NOT_EMPTY])),
)
def test_what_an_earlier_run_left(state: StagingState, target: TargetState, same: bool, result: bool) -> None:
    """That the request was the same is not enough: since the kill something else may lie at the target."""
    observation = seen(staging=state, target=Destination(target), same_request=same, target_is_result=result)
    plan = plan_convert(wanted(FOUR), observation)
    if state is StagingState.PUBLISHED and target is TargetState.NOT_EMPTY and same and result:
        assert plan == AlreadyDone()
    elif target is TargetState.NOT_EMPTY or state in (StagingState.BUSY, StagingState.FOREIGN):
        assert isinstance(plan, Refused)
    else:
        assert isinstance(plan, ConvertPlan)


@pytest.mark.parametrize(
    ("work", "same_volume", "free"), list(product(WORKS, [True, False], [None, 0, 10**9]))
)
def test_what_certainly_does_not_fit_is_refused(work: Work, same_volume: bool, free: int | None) -> None:
    tensors = {"a.weight": TensorFact("U32", (8, 8), 256)}
    target = Destination(TargetState.ABSENT, same_volume=same_volume, free=free)
    observation = seen(target=target, tensors=tensors)
    if free == 0 and not (same_volume and isinstance(work, RepairIndex)):
        assert refused(work, observation).kind is ErrorKind.INSUFFICIENT_DISK
    else:
        planned(work, observation)


RECIPE: JsonObject = {"operation": "quantize", "bits": 4}
MADE = Origin("org/model", "a" * 40, Operation.CONVERT, recipe={**RECIPE, "versions": {"mlx": "1"}})


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (MADE, True),
        (replace(MADE, recipe=RECIPE), True),
        (replace(MADE, recipe={**RECIPE, "bits": 8}), False),
        (replace(MADE, recipe=None), False),
        (replace(MADE, operation=Operation.CLONE), False),
        (replace(MADE, repo="org/other"), False),
        (replace(MADE, revision="b" * 40), False),
    ],
)
def test_a_result_is_known_by_its_manifest(found: Origin, same: bool) -> None:
    assert is_result(found.manifest("3.0.0", "2025-01-01T00:00:00Z"), MADE) is same


def test_what_has_no_manifest_is_no_result() -> None:
    assert not is_result(Refusal(Flaw.UNREADABLE), MADE)


# Health

WRONG_INDEX = model(
    "org/model", *shards(1, 2, of=2), config=PACKED, documents={INDEX: {"weight_map": [1, 2]}}
)
DAMAGED = model("org/model", weights(missing=5), config=PACKED)


@pytest.mark.parametrize("work", WORKS)
def test_a_damaged_source_is_refused_unless_told_otherwise(work: Work) -> None:
    told = refused(work, seen(DAMAGED))
    assert told.kind is ErrorKind.OPERATION
    assert "--skip-health" in told.hint
    planned(work, seen(DAMAGED), check_health=False)


def test_a_wrong_index_is_what_repairing_is_for() -> None:
    plan = planned(RepairIndex(), seen(WRONG_INDEX))
    assert plan == ConvertPlan(
        frozenset({INDEX, ".mlxk_workspace.json"}), shards=tuple(file.path for file in shards(1, 2, of=2))
    )
    for work in (FOUR, Dequantize()):
        assert "--repair-index" in refused(work, seen(WRONG_INDEX)).hint


def test_a_healthy_model_can_be_given_an_index_and_is_said_to_be_healthy() -> None:
    assert planned(RepairIndex(), seen()).warning


def test_no_shards_no_index() -> None:
    pickled = model("org/model", FileFact("model.gguf", 10))
    assert refused(RepairIndex(), seen(pickled)).kind is ErrorKind.OPERATION


def test_files_of_other_names_are_another_form_of_the_weights() -> None:
    both = model("org/m", weights(), weights("consolidated.safetensors"), config=PACKED)
    assert planned(RepairIndex(), seen(both)).shards == ("model.safetensors",)
    other = model("org/m", weights("weights.safetensors"), config=PACKED)
    assert planned(RepairIndex(), seen(other)).shards == ("weights.safetensors",)


# Which engine


def test_text_goes_through_mlx_lm() -> None:
    plan = planned(FOUR, seen(model(config=LLAMA)))
    assert (plan.engine, plan.warning) == (Engine.TEXT, None)


def vision(family: str, **config: JsonValue) -> SnapshotFacts:
    settings: JsonObject = {"model_type": family, "vision_config": {"depth": 2}, **config}
    return model(
        "org/model",
        config=settings,
        documents={"preprocessor_config.json": {"image_processor_type": "x"}, "tokenizer_config.json": {}},
        also=["tokenizer.json"],
    )


@pytest.mark.parametrize("family", VISION_CONVERTIBLE)
def test_families_that_were_tried_go_through_mlx_vlm(family: str) -> None:
    assert planned(FOUR, seen(vision(family))).engine is Engine.VISION


@pytest.mark.parametrize(
    "facts",
    [
        vision("florence2"),
        vision("gemma3n"),
        vision("qwen2_vl", audio_config={"layers": 2}),
        vision("llama"),
        model(config={"model_type": "qwen2_audio", "audio_config": {"layers": 1}}),
    ],
)
@pytest.mark.parametrize("work", [FOUR, Quantize(Packing(8, 32))])
def test_what_does_more_than_text_is_never_made_text_only(facts: SnapshotFacts, work: Work) -> None:
    told = refused(work, seen(facts), check_health=False)
    assert told.kind is ErrorKind.UNSUPPORTED_MULTIMODAL
    assert all(family in told.hint for family in VISION_CONVERTIBLE)


@pytest.mark.parametrize(
    "name", ["vision_tower.a.weight", "model.visual.blocks.0.weight", "model.audio_tower.x"]
)
def test_a_tower_in_the_weights_counts_even_where_the_config_is_silent(name: str) -> None:
    observation = seen(model(config=LLAMA), tensors={name: TensorFact("BF16", (4, 4), 32)})
    assert refused(FOUR, observation).kind is ErrorKind.UNSUPPORTED_MULTIMODAL


@pytest.mark.parametrize("family", ["whisper", "parakeet", "voxtral"])
def test_speech_is_not_implemented(family: str) -> None:
    told = refused(FOUR, seen(model(config={"model_type": family})), check_health=False)
    assert told.kind is ErrorKind.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    ("facts", "runtimes", "kind"),
    [
        (model(config=LLAMA), Runtimes(None, VISION), ErrorKind.DEPENDENCY_MISSING),
        (vision("qwen2_vl"), Runtimes(TEXT), ErrorKind.DEPENDENCY_MISSING),
        (model(config={"model_type": "novel"}), Runtimes(TEXT), ErrorKind.NOT_IMPLEMENTED),
        (model(config={"hidden_size": 64}), Runtimes(TEXT), ErrorKind.NOT_IMPLEMENTED),
        (model("org/m", FileFact("m.gguf", 9)), Runtimes(TEXT), ErrorKind.NOT_IMPLEMENTED),
        (model("org/m", FileFact("pytorch_model.bin", 9)), Runtimes(TEXT), ErrorKind.NOT_IMPLEMENTED),
    ],
)
def test_what_no_package_can_do(facts: SnapshotFacts, runtimes: Runtimes, kind: ErrorKind) -> None:
    assert refused(FOUR, seen(facts, runtimes=runtimes), check_health=False).kind is kind


@pytest.mark.parametrize("link", [LinkState.BROKEN, LinkState.ESCAPES])
@pytest.mark.parametrize("work", [FOUR, Dequantize()])
def test_weights_outside_of_the_model_are_never_read(link: LinkState, work: Work) -> None:
    facts = model("org/m", replace(weights(), link=link), config=PACKED)
    assert refused(work, seen(facts), check_health=False).kind is ErrorKind.OPERATION


# Whether it makes sense


def test_packed_weights_are_packed_again_with_a_warning() -> None:
    assert "4 bits already" in (planned(FOUR, seen(model(config=PACKED))).warning or "")


@pytest.mark.parametrize("work", [FOUR, Dequantize()])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("method", ["bitnet", "bitsandbytes", "novel", "awq", "mxfp4"])
def test_foreign_packings_that_are_opened(work: Work, nested: bool, method: str) -> None:
    packed: JsonObject = {"quantization_config": {"quant_method": method, "bits": 4}}
    config = {**LLAMA, "text_config": packed} if nested else {**LLAMA, **packed}
    plan = plan_convert(wanted(work), seen(model(config=config)))
    if method in ("awq", "mxfp4"):
        assert isinstance(plan, ConvertPlan) or plan.kind is ErrorKind.VALIDATION  # type: ignore[union-attr]
    elif not nested or work is FOUR:
        assert isinstance(plan, Refused)
        assert plan.kind is ErrorKind.NOT_IMPLEMENTED


def test_only_packed_weights_can_be_opened() -> None:
    assert refused(Dequantize(), seen(model(config=LLAMA))).kind is ErrorKind.VALIDATION
    assert "does not come back" in (planned(Dequantize(), seen(model(config=PACKED))).warning or "")


@pytest.mark.parametrize(
    ("hidden", "intermediate", "group_size", "outcome"),
    [
        (128, 256, 64, "fits"),
        (128, 256, 128, "fits"),
        (64, 128, 128, "try --q-group-size 32 or --q-group-size 64"),
        (96, 192, 64, "try --q-group-size 32"),
        (128, 200, 64, "those layers stay"),
        (50, 128, 64, "leave it as it is"),
        (None, None, 64, "fits"),
    ],
)
def test_a_group_size_must_divide_what_it_groups(
    hidden: int | None, intermediate: int | None, group_size: int, outcome: str
) -> None:
    config: JsonObject = {"model_type": "llama", "hidden_size": hidden, "intermediate_size": intermediate}
    plan = plan_convert(
        wanted(Quantize(Packing(4, group_size))),
        seen(model(config={key: value for key, value in config.items() if value})),
    )
    if isinstance(plan, Refused):
        assert (plan.kind, plan.hint) == (ErrorKind.VALIDATION, outcome)
    else:
        assert isinstance(plan, ConvertPlan)
        assert (outcome in plan.warning) if plan.warning else (outcome == "fits")


def test_only_old_weights_stay_behind() -> None:
    parts = shards(1, 2, of=2)
    facts = model(
        "org/m",
        *parts,
        weights("consolidated.safetensors"),
        weights("2_Dense/model.safetensors"),
        weights("adapters.safetensors"),
        config=LLAMA,
        documents={INDEX: index(parts), "tokenizer_config.json": {}, "generation_config.json": {}},
        also=["original/consolidated.00.pth", "onnx/model.onnx", "README.md", "tokenizer.json", "m.gguf"],
    )
    without = planned(FOUR, seen(facts), check_health=False).without
    assert {file.path for file in facts.files} - without == {
        "2_Dense/model.safetensors", "adapters.safetensors", "tokenizer_config.json", "README.md",
        "generation_config.json", "tokenizer.json",
    }  # fmt: skip


# Without a config


@pytest.mark.parametrize("work", [FOUR, Dequantize()])
def test_without_a_config_it_is_the_config_that_is_missing(work: Work) -> None:
    told = refused(work, seen(model(config=None)), check_health=False)
    assert "has no config.json" in told.message
    assert "mlxk health org/model" in told.hint
    told = refused(work, seen(model(config=Invalid("it is empty"))), check_health=False)
    assert "config.json of 'org/model' is invalid: it is empty" in told.message


def test_an_index_needs_no_config() -> None:
    assert planned(RepairIndex(), seen(model(config=None)), check_health=False).shards
