"""Quantizing and dequantizing with mlx-lm (text) and mlx-vlm (text and images).

Their own `convert` commands rewrite tokenizers, processors and the model card too; here only weights, index
and config.json are made anew, and everything else is carried over as it was. Weights are read lazily, shard
by shard as they are written. No model's own code is ever run.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlxk.domain.convert_plan import Engine
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.ports import Progress
from mlxk.domain.quantization import Packing

__all__ = ["MlxQuantizer"]

_FAILURES = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
_DTYPES = frozenset({"float16", "bfloat16", "float32"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LEAST_FREE = 1 << 20


class MlxQuantizer:
    """Makes weights anew with the installed MLX packages, which are imported when the work begins."""

    def quantize(
        self, source: Path, target: Path, engine: Engine, packing: Packing, progress: Progress
    ) -> Mapping[str, str]:
        """Write the model in `source` to the directory `target`, which exists, in fewer bits.

        Weights that are packed already are opened first.

        Raises:
            MlxkError: see the port.
        """

        def work(tools: "_Tools", model: Any) -> tuple[Any, object]:
            opened = tools.dequantize(model)
            _cast(opened, source)
            packed, config = tools.quantize(opened, packing)
            if not any(name.endswith("scales") for name in _parameter_names(packed)):
                raise InvalidInput(
                    f"No layer of this model has a width that {packing.group_size} divides.",
                    hint="try a smaller --q-group-size",
                )
            return packed, config["quantization"]

        return _make(source, target, engine, work, "quantize", progress)

    def dequantize(self, source: Path, target: Path, engine: Engine, progress: Progress) -> Mapping[str, str]:
        """The same with packed weights opened.

        Raises:
            MlxkError: see the port.
        """

        def work(tools: "_Tools", model: Any) -> tuple[Any, object]:
            opened = tools.dequantize(model)
            _cast(opened, source)
            return opened, None

        return _make(source, target, engine, work, "dequantize", progress)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What a package brings: functions from a path or a model to a model, and from a model to files."""

    load: Callable[[Path], Any]
    quantize: Callable[[Any, Packing], tuple[Any, Mapping[str, Any]]]
    dequantize: Callable[[Any], Any]
    save: Callable[[Path, Any], None]


_Work = Callable[[_Tools, Any], tuple[Any, object]]


def _make(
    source: Path, target: Path, engine: Engine, work: _Work, phase: str, progress: Progress
) -> Mapping[str, str]:
    with _quiet_libraries():
        tools = _text_tools() if engine is Engine.TEXT else _vision_tools()
        model = _load(tools, source, engine)
        progress.start(phase, 0)  # the packages do not say how far they are
        try:
            made, quantization = work(tools, model)
            tools.save(target, made)
            _write_config(source, target, quantization)
            _settle(target)
        except _FAILURES as error:
            raise _failure(error, target, phase) from error
        finally:
            progress.finish()
        del model, made
        _check(tools, target)
    return {name: version(name) for name in ("mlx", engine.value)}


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep what libraries print while importing and working off the streams; it says nothing of use."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read once, when transformers is imported
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


def _text_tools() -> _Tools:
    from mlx_lm.utils import dequantize_model, load_model, quantize_model, save_model

    return _Tools(
        load=lambda path: load_model(path, lazy=True, strict=True, trust_remote_code=False)[0],
        quantize=lambda model, packing: quantize_model(
            model, {}, packing.group_size, packing.bits, mode=packing.mode
        ),
        dequantize=dequantize_model,
        save=lambda path, model: save_model(path, model, donate_model=True),
    )


def _vision_tools() -> _Tools:
    """As `mlx_vlm.convert`: image and sound towers keep their precision."""
    from mlx_vlm.quant_utils import dequantize_model, quantize_model
    from mlx_vlm.utils import load_model, save_weights, skip_multimodal_module

    def quantize(model: Any, packing: Packing) -> tuple[Any, Mapping[str, Any]]:
        of_the_model = getattr(model, "quant_predicate", None)

        def predicate(path: str, module: Any) -> Any:
            if skip_multimodal_module(path):
                return False
            return True if of_the_model is None else of_the_model(path, module)

        made: tuple[Any, Mapping[str, Any]] = quantize_model(
            model, {}, packing.group_size, packing.bits, mode=packing.mode, quant_predicate=predicate
        )
        return made

    return _Tools(
        load=lambda path: load_model(path, lazy=True, strict=True, trust_remote_code=False),
        quantize=quantize,
        dequantize=dequantize_model,
        save=lambda path, model: save_weights(path, model, donate_weights=True),
    )


def _load(tools: _Tools, source: Path, engine: Engine) -> Any:
    try:
        return tools.load(source)
    except _FAILURES as error:
        if "trust_remote_code" in str(error):
            raise MlxkError(
                ErrorKind.NOT_IMPLEMENTED,
                "The model needs code of its own, and mlxk does not run a model's code.",
                hint=f"look for a conversion to an architecture that {engine.value} has",
            ) from error
        raise MlxkError(
            ErrorKind.OPERATION,
            f"The model cannot be loaded: {_reason(error)}.",
            hint="run `mlxk health` on it; its weights may not fit its config",
        ) from error


def _check(tools: _Tools, made: Path) -> None:
    """See that the result loads, which reads headers only: a layer that was not opened has other shapes.

    Raises:
        MlxkError: (`OPERATION`) it does not.
    """
    try:
        tools.load(made)
    except _FAILURES as error:
        raise MlxkError(
            ErrorKind.OPERATION,
            f"The result would not load: {_reason(error)}.",
            hint="the weights are packed in a way that cannot be converted; convert the original",
        ) from error


def _parameter_names(model: Any) -> list[str]:
    from mlx.utils import tree_flatten

    return [name for name, _ in tree_flatten(model.parameters())]


def _cast(model: Any, source: Path) -> None:
    """Floating-point weights in the type that the config names, as `mlx_lm.convert` does it."""
    import mlx.core as mx
    from mlx.utils import tree_map_with_path

    name = _dtype_of(_config(source))
    if name is None:
        return
    dtype = getattr(mx, name)
    wanted = getattr(model, "cast_predicate", lambda _: True)

    def cast(path: str, array: Any) -> Any:
        return array.astype(dtype) if wanted(path) and mx.issubdtype(array.dtype, mx.floating) else array

    model.update(tree_map_with_path(cast, model.parameters()))


def _dtype_of(config: Mapping[str, Any]) -> str | None:
    text = config.get("text_config")
    levels = [config, text] if isinstance(text, dict) else [config]
    named = (level.get(key) for level in levels for key in ("torch_dtype", "dtype"))
    return next((name for name in named if isinstance(name, str) and name in _DTYPES), None)


def _config(source: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    return found


def _write_config(source: Path, target: Path, quantization: object) -> None:
    """The source's config with nothing changed but how the weights are packed."""
    config = _config(source)
    text = config.get("text_config")
    for level in [config, text] if isinstance(text, dict) else [config]:
        for key in ("quantization", "quantization_config"):
            level.pop(key, None)
    if quantization is not None:
        config |= {"quantization": quantization, "quantization_config": quantization}
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _settle(target: Path) -> None:
    """Wait until the disk has what was written."""
    for file in (*target.glob("*.safetensors"), *target.glob("*.json")):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _failure(error: Exception, target: Path, phase: str) -> MlxkError:
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or shutil.disk_usage(target).free < _LEAST_FREE:  # MLX does not say why it could not write
        return MlxkError(
            ErrorKind.INSUFFICIENT_DISK,
            "There is no space left for the converted model.",
            hint="free some space, or give a target on another volume",
        )
    return MlxkError(
        ErrorKind.OPERATION,
        f"The model could not be {phase}d: {_reason(error)}.",
        hint="try another mode or number of bits",
    )


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for one sentence."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".:") if lines else ""
    return f"{text[:157]}..." if len(text) > 160 else text or type(error).__name__
