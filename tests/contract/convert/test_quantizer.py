"""Real quantization of real, tiny models, loaded and run again."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlxk.adapters.quantizer import MlxQuantizer
from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.adapters.tensor_headers import read_tensors
from mlxk.adapters.tree_copy import VolumeTreeCopier
from mlxk.domain.convert_plan import Engine
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.families import VISION_CONVERTIBLE
from mlxk.domain.generation import GenerationRequest, Message, Role, Sampling, collect
from mlxk.domain.model import HeaderProblem
from mlxk.domain.quantization import Packing
from mlxk.domain.tensors import TensorFact
from tests.contract.tiny_models import CHATS, build_bitnet, build_llama, build_mamba, build_overfitted_qwen3
from tests.contract.tiny_vision import VISION_CONFIGS, build_vision_model
from tests.contract.volumes import memory_disk
from tests.memory_ports import ProgressRecorder

WITHOUT = frozenset({"config.json", "model.safetensors"})
CHAT = next(chat for chat in CHATS if not chat.with_tools and not chat.thinking)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_overfitted_qwen3(tmp_path_factory.mktemp("convert") / "taught")


def carried(source: Path, target: Path) -> Path:
    """Everything but weights and config, as the use case hands it to the quantizer."""
    VolumeTreeCopier.for_this_system().copy(source, target, progress=ProgressRecorder(), without=WITHOUT)
    return target


def quantized(source: Path, target: Path, packing: Packing, engine: Engine = Engine.TEXT) -> Path:
    progress = ProgressRecorder()
    versions = MlxQuantizer().quantize(source, carried(source, target), engine, packing, progress)
    assert set(versions) == {"mlx", engine.value}
    assert (progress.started[0][0], progress.finished) == ("quantize", 1)
    return target


def config_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "config.json").read_text())
    return found


def tensors_of(path: Path) -> dict[str, TensorFact]:
    found = read_tensors(path / "model.safetensors")
    assert not isinstance(found, HeaderProblem)
    return dict(found)


def answer_of(path: Path) -> str:
    model = MlxTextRuntime().load(path)
    request = GenerationRequest(
        (Message(Role.USER, CHAT.user),), Sampling(temperature=0), max_tokens=40, thinking=False
    )
    try:
        return collect(list(model.generate(request))).text
    finally:
        model.close()


@pytest.mark.parametrize(
    "packing",
    [
        Packing(4, 32),
        Packing(4, 64),
        Packing(8, 32),
        Packing(8, 64),
        Packing(6, 32),
        Packing(4, 32, "mxfp4"),
        Packing(8, 32, "mxfp8"),
        Packing(4, 16, "nvfp4"),
    ],
    ids=str,
)
def test_what_is_quantized_loads_and_runs(
    taught: Path, tmp_path: Path, packing: Packing, capfd: pytest.CaptureFixture[str]
) -> None:
    made = quantized(taught, tmp_path / "made", packing)
    assert capfd.readouterr().out == ""
    before, after = config_of(taught), config_of(made)
    expected = {"bits": packing.bits, "group_size": packing.group_size, "mode": packing.mode}
    assert after.pop("quantization") == after.pop("quantization_config") == expected
    assert after == before
    assert tensors_of(made)["model.layers.0.mlp.up_proj.weight"].dtype == "U32"
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (made / name).read_bytes() == (taught / name).read_bytes()
    answer = answer_of(made)
    assert answer
    if packing.bits == 8:
        assert answer == CHAT.raw_answer


@pytest.mark.parametrize("packing", [Packing(8, 32), Packing(4, 32, "mxfp4")], ids=str)
def test_there_and_back(taught: Path, tmp_path: Path, packing: Packing) -> None:
    packed = quantized(taught, tmp_path / "packed", packing)
    opened = carried(packed, tmp_path / "opened")
    MlxQuantizer().dequantize(packed, opened, Engine.TEXT, ProgressRecorder())
    assert config_of(opened) == config_of(taught)
    shapes = {name: tensor.shape for name, tensor in tensors_of(taught).items()}
    assert {name: tensor.shape for name, tensor in tensors_of(opened).items()} == shapes
    assert answer_of(opened) == answer_of(packed)


def test_packed_weights_are_opened_before_they_are_packed_anew(taught: Path, tmp_path: Path) -> None:
    once = quantized(taught, tmp_path / "once", Packing(8, 32))
    twice = quantized(once, tmp_path / "twice", Packing(4, 64))
    assert config_of(twice)["quantization"] == {"bits": 4, "group_size": 64, "mode": "affine"}
    assert tensors_of(twice)["lm_head.weight"].shape[-1] == 64 * 4 // 32
    assert answer_of(twice)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_type_that_the_config_names(tmp_path: Path, dtype: str) -> None:
    source = build_llama(tmp_path / "source", torch_dtype=dtype)
    made = quantized(source, tmp_path / "made", Packing(4, 32))
    expected = {"bfloat16": "BF16", "float16": "F16"}[dtype]
    assert tensors_of(made)["model.norm.weight"].dtype == expected


def test_other_architectures(tmp_path: Path) -> None:
    source = build_mamba(tmp_path / "source")
    made = quantized(source, tmp_path / "made", Packing(8, 32))
    MlxTextRuntime().load(made).close()


def refusal(source: Path, target: Path, packing: Packing) -> MlxkError:
    with pytest.raises(MlxkError) as told:
        MlxQuantizer().quantize(source, target, Engine.TEXT, packing, ProgressRecorder())
    assert told.value.hint
    return told.value


def test_what_does_not_load_is_told(taught: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    broken = VolumeTreeCopier.for_this_system()
    broken.copy(taught, tmp_path / "broken", progress=ProgressRecorder())
    config = config_of(taught)
    (tmp_path / "broken" / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
    assert refusal(tmp_path / "broken", target, Packing(4, 32)).kind is ErrorKind.OPERATION
    (tmp_path / "broken" / "config.json").write_text(json.dumps(config | {"model_file": "evil.py"}))
    (tmp_path / "broken" / "evil.py").write_text("raise SystemExit('the code of the model ran')")
    assert refusal(tmp_path / "broken", target, Packing(4, 32)).kind is ErrorKind.NOT_IMPLEMENTED


def test_a_result_that_would_not_load_is_told(tmp_path: Path) -> None:
    source = build_bitnet(tmp_path / "source")
    target = carried(source, tmp_path / "target")
    with pytest.raises(MlxkError, match="The result would not load") as told:
        MlxQuantizer().dequantize(source, target, Engine.TEXT, ProgressRecorder())
    assert told.value.kind is ErrorKind.OPERATION


def test_a_group_size_that_no_layer_can_have_is_told(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    told = refusal(taught, tmp_path / "target", Packing(4, 256))
    assert isinstance(told, InvalidInput)


def test_a_full_disk_is_told(taught: Path, tmp_path: Path) -> None:
    with memory_disk(tmp_path, size=64 * 1024) as disk:
        (disk / "target").mkdir()
        told = refusal(taught, disk / "target", Packing(8, 32))
    assert told.kind is ErrorKind.INSUFFICIENT_DISK


def test_every_family_that_is_said_to_convert_is_tried() -> None:
    assert set(VISION_CONFIGS) == set(VISION_CONVERTIBLE)


@pytest.mark.parametrize("family", VISION_CONVERTIBLE)
def test_an_image_tower_stays_whole(family: str, tmp_path: Path) -> None:
    pytest.importorskip("mlx_vlm")
    import mlx.core as mx
    from mlx_vlm.utils import load_model

    source = build_vision_model(tmp_path / "source", family)
    made = quantized(source, tmp_path / "made", Packing(8, 32), Engine.VISION)
    before, after = tensors_of(source), tensors_of(made)
    tower = {name for name in before if "vision" in name or "visual" in name}
    assert tower
    assert all(after[name] == before[name] for name in tower)
    assert any(tensor.dtype == "U32" for tensor in after.values())
    assert config_of(made)["vision_config"] == config_of(source)["vision_config"]
    one, other = (
        load_model(path, trust_remote_code=False).language_model(mx.array([[1, 2, 3, 4]])).logits
        for path in (source, made)
    )
    assert mx.all(mx.abs(one - other) < 0.5 * mx.abs(one).max()).item()
    opened = carried(made, tmp_path / "opened")
    MlxQuantizer().dequantize(made, opened, Engine.VISION, ProgressRecorder())
    assert config_of(opened) == config_of(source)
    assert {name: t.shape for name, t in tensors_of(opened).items()} == {
        name: t.shape for name, t in before.items()
    }
