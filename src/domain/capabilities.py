"""What a model is: facts in, framework, type, capabilities, context length and quantization out."""

import re
from collections.abc import Mapping, Sequence

from mlxk.domain.families import (
    AUDIO_MULTIMODAL,
    EMBEDDING_ENCODERS,
    MULTIMODAL_WITHOUT_VISION_CONFIG,
    NOT_GENERATIVE,
    SPEECH_TO_TEXT,
    VISION,
)
from mlxk.domain.model import (
    AudioBackend,
    Capability,
    Description,
    Framework,
    JsonObject,
    JsonValue,
    ModelType,
    Quantization,
    SafetensorsHeader,
    SnapshotFacts,
)
from mlxk.domain.naming import DEFAULT_ORG

__all__ = [
    "architecture_of",
    "config_number",
    "context_length_of",
    "describe",
    "framework_of",
    "has_vision_parts",
    "quantization_of",
]

_SCORING_HEADS = ("ForSequenceClassification", "ForTokenClassification")
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "context_length", "max_sequence_length", "seq_len")
SENTENCE_TRANSFORMERS_FILES = (
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
)
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
WHISPER_MULTILINGUAL_VOCABULARY = 51865
"""Whisper's English-only models have 51,864 tokens, the multilingual ones at least this many."""

_ENCODER_LAYERS = ("n_audio_layer", "encoder_layers")
_DECODER_LAYERS = ("n_text_layer", "decoder_layers")

_CHAT_NAME = re.compile(r"instruct|chat|-it(?![a-z])", re.IGNORECASE)
# Parts of tensor names, looked for as they are: a pattern over thousands of names would be felt in a listing.
_DECODER_TENSORS = (".self_attn.", ".attention.", ".linear_attn.", ".mlp.", ".mixer.")
_VISION_TENSORS = ("vision", "visual", "image", "img", "vit.", "siglip", "clip", "patch_embed", "projector")
_AUDIO_TENSORS = ("audio", "speech", "whisper", "conformer", "sound")
_EMBEDDING_NAME = re.compile(r"embed", re.IGNORECASE)
_NO_TRANSLATION_NAME = re.compile(r"\.en\b|turbo|distil", re.IGNORECASE)


def describe(facts: SnapshotFacts) -> Description:
    """Say what a model is, from its facts alone. Never raises for bad data."""
    sees = has_vision_parts(facts)
    model_type = _model_type(facts, sees=sees)
    capabilities = _capabilities(facts, model_type, sees=sees)
    return Description(
        framework=framework_of(facts),
        model_type=model_type,
        capabilities=capabilities,
        audio_backend=_audio_backend(model_type, capabilities),
        context_length=context_length_of(facts.config()),
        quantization=quantization_of(facts.config()),
        architecture=architecture_of(facts.config()),
    )


def framework_of(facts: SnapshotFacts) -> Framework:
    """Which framework the files are made for; evidence for MLX wins, then the weights' format."""
    if _is_mlx(facts):
        return Framework.MLX
    names = [file.path.lower() for file in facts.files]
    if any(name.endswith(".gguf") for name in names):
        return Framework.GGUF
    if any(name.endswith(".safetensors") or _is_pytorch_pickle(name) for name in names):
        return Framework.PYTORCH
    return Framework.UNKNOWN


def _is_pytorch_pickle(name: str) -> bool:
    return name.rpartition("/")[2].startswith("pytorch_model") and name.endswith(".bin")


def _is_mlx(facts: SnapshotFacts) -> bool:
    return (
        facts.name.startswith(f"{DEFAULT_ORG}/")
        or "mlx" in facts.card.tags
        or facts.card.library_name == "mlx"
        or _is_filled(facts.config().get("quantization"))
        or any(
            isinstance(file.header, SafetensorsHeader) and file.header.format == "mlx" for file in facts.files
        )
    )


def _is_filled(value: JsonValue) -> bool:
    return isinstance(value, Mapping) and bool(value)


def architecture_of(config: JsonObject) -> str | None:
    """`model_type` of config.json; speech checkpoints that lack it are known by other keys.

    Whisper conversions from before it was written have Whisper's dimensions, NVIDIA NeMo exports (Parakeet,
    Canary) the class that they were trained as.
    """
    found = config.get("model_type")
    if isinstance(found, str) and found:
        return found
    if "n_mels" in config and "n_audio_state" in config:
        return "whisper"
    target = config.get("target")
    if isinstance(target, str) and target.startswith("nemo.collections.asr."):
        return "canary" if "MultiTask" in target else "parakeet"
    return None


def context_length_of(config: JsonObject) -> int | None:
    """Tokens of context, from the first known key at top level, then in `text_config`; None when unsaid."""
    return config_number(config, *CONTEXT_KEYS)


def config_number(config: JsonObject, *keys: str) -> int | None:
    """The first of some keys with a positive number, at top level, then in `text_config`; else None."""
    text_config = config.get("text_config")
    levels = [config, text_config] if isinstance(text_config, Mapping) else [config]
    numbers = (_positive_int(level.get(key)) for level in levels for key in keys)
    return next((number for number in numbers if number is not None), None)


def _positive_int(value: JsonValue) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None


def quantization_of(config: JsonObject) -> Quantization | None:
    """How the weights are packed, from `quantization`, else `quantization_config`; None when they are not."""
    for key in ("quantization", "quantization_config"):
        found = config.get(key)
        if not isinstance(found, Mapping):
            continue
        bits = _positive_int(found.get("bits"))
        if bits is not None:
            mode = found.get("mode")
            return Quantization(
                bits, _positive_int(found.get("group_size")), mode if isinstance(mode, str) else None
            )
    return None


def _model_type(facts: SnapshotFacts, *, sees: bool) -> ModelType:
    if not facts.config():
        return ModelType.UNKNOWN
    if _is_embedding(facts):
        return ModelType.EMBEDDING
    if _is_speech_to_text(facts):
        return ModelType.AUDIO
    if _family(facts) in NOT_GENERATIVE or _scores_texts(facts):
        return ModelType.BASE
    if sees or facts.chat_template or _CHAT_NAME.search(_short_name(facts)):
        return ModelType.CHAT
    return ModelType.BASE


def _short_name(facts: SnapshotFacts) -> str:
    return facts.name.rpartition("/")[2]


def _family(facts: SnapshotFacts) -> str:
    return (architecture_of(facts.config()) or "").lower()


def _is_embedding(facts: SnapshotFacts) -> bool:
    if _scores_texts(facts):
        return False
    if _family(facts) in EMBEDDING_ENCODERS:
        return True
    return bool(_EMBEDDING_NAME.search(_short_name(facts))) or any(
        facts.has(path) for path in SENTENCE_TRANSFORMERS_FILES
    )


def _scores_texts(facts: SnapshotFacts) -> bool:
    """Rerankers and classifiers are encoders too, but what they give is a score."""
    architectures = facts.config().get("architectures")
    names = architectures if isinstance(architectures, (list, tuple)) else [architectures]
    return any(isinstance(name, str) and name.endswith(_SCORING_HEADS) for name in names)


def _is_speech_to_text(facts: SnapshotFacts) -> bool:
    family = _family(facts)
    return any(name in family for name in SPEECH_TO_TEXT) and "tts" not in family


def has_vision_parts(facts: SnapshotFacts) -> bool:
    """Whether anything but the type of the model speaks for images: config, family or image processor.

    Unless the weights show that the image tower was left out, as mlx-lm does when it converts such a model.
    """
    family = _family(facts)
    return (
        _is_filled(facts.config().get("vision_config"))
        or family in VISION
        or family in MULTIMODAL_WITHOUT_VISION_CONFIG
        or any(_is_image_processor(facts.read(path)) for path in PROCESSOR_FILES)
    ) and not _is_decoder_without(facts, _VISION_TENSORS)


def _is_image_processor(config: JsonObject) -> bool:
    return "image_processor_type" in config or _is_filled(config.get("image_processor"))


def _has_audio(facts: SnapshotFacts) -> bool:
    return (
        _is_filled(facts.config().get("audio_config"))
        or _family(facts) in AUDIO_MULTIMODAL
        or any(_is_whisper_extractor(facts.read(path)) for path in PROCESSOR_FILES)
    ) and not _is_decoder_without(facts, _AUDIO_TENSORS)


def _is_decoder_without(facts: SnapshotFacts, part: Sequence[str]) -> bool:
    """Whether the tensors are known, a text decoder is among them, and none belongs to another part."""
    headers = [file.header for file in facts.files if isinstance(file.header, SafetensorsHeader)]
    names = "\n".join(name for header in headers for name in header.tensors)
    return not any(text in names for text in part) and any(text in names for text in _DECODER_TENSORS)


def _is_whisper_extractor(config: JsonObject) -> bool:
    nested = config.get("feature_extractor")
    for level in (config, nested):
        if isinstance(level, Mapping) and "Whisper" in str(level.get("feature_extractor_type", "")):
            return True
    return False


def _capabilities(facts: SnapshotFacts, model_type: ModelType, *, sees: bool) -> tuple[Capability, ...]:
    match model_type:
        case ModelType.UNKNOWN:
            return ()
        case ModelType.EMBEDDING:
            return (Capability.EMBEDDINGS,)
        case ModelType.AUDIO:
            translates = _translates_to_english(facts)
            return (Capability.AUDIO, Capability.AUDIO_TRANSLATE_EN) if translates else (Capability.AUDIO,)
    if _family(facts) in NOT_GENERATIVE or (_family(facts) in EMBEDDING_ENCODERS and _scores_texts(facts)):
        return ()
    found = [Capability.TEXT_GENERATION]
    if model_type is ModelType.CHAT:
        found.append(Capability.CHAT)
    if sees:
        found.append(Capability.VISION)
    if _has_audio(facts):
        found.append(Capability.AUDIO)
    return tuple(found)


def _translates_to_english(facts: SnapshotFacts) -> bool:
    """Multilingual Whisper translates; `.en`, turbo and distilled ones were not trained to (their cards).

    A renamed copy shows it by its shape: a smaller vocabulary, or a decoder cut shorter than its encoder.
    """
    if "whisper" not in _family(facts) or _NO_TRANSLATION_NAME.search(_short_name(facts)):
        return False
    config = facts.config()
    encoder, decoder = (config_number(config, *keys) for keys in (_ENCODER_LAYERS, _DECODER_LAYERS))
    if encoder and decoder and decoder < encoder:
        return False
    vocabulary = config_number(config, "n_vocab", "vocab_size")
    return vocabulary is None or vocabulary >= WHISPER_MULTILINGUAL_VOCABULARY


def _audio_backend(model_type: ModelType, capabilities: tuple[Capability, ...]) -> AudioBackend | None:
    if Capability.AUDIO not in capabilities:
        return None
    return AudioBackend.MLX_AUDIO if model_type is ModelType.AUDIO else AudioBackend.MLX_VLM
