"""What a model is: framework, type, capabilities, context length and quantization, from facts alone."""

from typing import Any

import pytest

from mlxk.domain import families
from mlxk.domain.capabilities import architecture_of, context_length_of, describe, quantization_of
from mlxk.domain.model import (
    AudioBackend,
    Capability,
    Document,
    FileFact,
    Framework,
    FrontMatter,
    Invalid,
    JsonObject,
    ModelType,
    Quantization,
    SnapshotFacts,
)
from tests.unit.domain.building import LLAMA, model, weights

TEXT = Capability.TEXT_GENERATION
CHAT = Capability.CHAT
VISION = Capability.VISION
AUDIO = Capability.AUDIO
TRANSLATE = Capability.AUDIO_TRANSLATE_EN
EMBED = Capability.EMBEDDINGS

IMAGE_PROCESSOR: JsonObject = {"image_processor_type": "CLIPImageProcessor"}
WHISPER: JsonObject = {"model_type": "whisper", "n_vocab": 51865, "n_audio_layer": 6, "n_text_layer": 6}


def family(name: str, **more: Any) -> SnapshotFacts:
    return model(config={"model_type": name, **more})


class TestFramework:
    @pytest.mark.parametrize(
        "facts",
        [
            model("mlx-community/anything"),
            model(card=FrontMatter(tags=("text-generation", "mlx"))),
            model(card=FrontMatter(library_name="mlx")),
            model(config={**LLAMA, "quantization": {"bits": 4, "group_size": 64}}),
            model("org/model", weights(written_by="mlx")),
            model("mlx-community/whisper-tiny", FileFact("weights.npz", 10)),
            model("mlx-community/both", FileFact("model.gguf", 10)),
        ],
    )
    def test_any_evidence_makes_it_mlx(self, facts: SnapshotFacts) -> None:
        assert describe(facts).framework is Framework.MLX

    @pytest.mark.parametrize(
        ("paths", "framework"),
        [
            (["model.safetensors"], Framework.PYTORCH),
            (["pytorch_model.bin"], Framework.PYTORCH),
            (["pytorch_model-00001-of-00002.bin"], Framework.PYTORCH),
            (["model.gguf"], Framework.GGUF),
            (["Q4_K_M/model-00001-of-00002.gguf"], Framework.GGUF),
            (["model.gguf", "model.safetensors"], Framework.GGUF),
            (["training_args.bin"], Framework.UNKNOWN),
            (["onnx/model.onnx"], Framework.UNKNOWN),
            (["tf_model.h5"], Framework.UNKNOWN),
        ],
    )
    def test_else_the_weights_tell(self, paths: list[str], framework: Framework) -> None:
        assert describe(model("org/model", *(FileFact(p, 10) for p in paths))).framework is framework

    @pytest.mark.parametrize(
        "facts",
        [
            model("mlx-community"),  # a workspace directory of that name is not the organisation
            model("mlx-community-fan/model"),
            model("org/mlx-community"),
            model(card=FrontMatter(tags=("not-mlx",), library_name="transformers")),
            model(config={**LLAMA, "quantization": None}),
            model(config={**LLAMA, "quantization": {}}),
            model(config={**LLAMA, "quantization_config": {"quant_method": "gptq", "bits": 4}}),
            model("org/model", weights(written_by="pt")),
        ],
    )
    def test_lookalikes_are_no_evidence(self, facts: SnapshotFacts) -> None:
        assert describe(facts).framework is Framework.PYTORCH

    def test_no_files_are_of_no_framework(self) -> None:
        assert describe(SnapshotFacts("org/model")).framework is Framework.UNKNOWN


class TestModelType:
    @pytest.mark.parametrize("name", sorted(families.EMBEDDING_ENCODERS))
    def test_encoders_embed_whatever_their_name(self, name: str) -> None:
        description = describe(model("org/some-chat-instruct", config={"model_type": name}))
        assert description.model_type is ModelType.EMBEDDING
        assert description.capabilities == (EMBED,)

    def test_a_family_is_known_in_any_case(self) -> None:
        assert describe(family("BERT")).model_type is ModelType.EMBEDDING

    @pytest.mark.parametrize(
        "facts",
        [
            model("mlx-community/Qwen3-Embedding-0.6B-4bit-DWQ", config={"model_type": "qwen3"}),
            model("mlx-community/embeddinggemma-300m-bf16", config={"model_type": "gemma3_text"}),
            model("org/plain", also=["modules.json"]),
            model("org/plain", also=["config_sentence_transformers.json"]),
            model("org/plain", also=["sentence_bert_config.json"]),
            model("org/Qwen3-VL-Embedding", config={"model_type": "qwen3_vl", "vision_config": {"depth": 2}}),
        ],
    )
    def test_a_causal_model_embeds_if_its_name_or_sidecar_says_so(self, facts: SnapshotFacts) -> None:
        assert describe(facts).model_type is ModelType.EMBEDDING
        assert describe(facts).capabilities == (EMBED,)

    @pytest.mark.parametrize(
        "facts",
        [
            model("embedders/Llama-3.2-1B", chat_template=True),  # the organisation's name does not count
            model("org/Llama-3.2-1B", also=["1_Pooling/config.json"], chat_template=True),
            model("org/Llama-3.2-1B", also=["sub/modules.json"], chat_template=True),
        ],
    )
    def test_else_a_causal_model_does_not(self, facts: SnapshotFacts) -> None:
        assert describe(facts).model_type is ModelType.CHAT

    @pytest.mark.parametrize(
        "name",
        [
            *sorted(families.SPEECH_TO_TEXT),
            "whisper-mlx",
            "my_whisper",
            "vibevoice_asr",
            "voxtral_realtime",
            "wav2vec2",
            "parakeet_tdt",
            "fireredasr2",
            "glmasr",
            "granite_speech_plus",
            "Moonshine",
        ],
    )
    def test_speech_recognisers_are_known_by_part_of_the_family(self, name: str) -> None:
        description = describe(model(config={"model_type": name}, chat_template=True))
        assert description.model_type is ModelType.AUDIO
        assert description.audio_backend is AudioBackend.MLX_AUDIO
        assert AUDIO in description.capabilities
        assert not {TEXT, CHAT, VISION} & set(description.capabilities)

    def test_a_speaking_family_is_no_recogniser(self) -> None:
        assert describe(family("voxtral_tts")).model_type is not ModelType.AUDIO

    def test_embedding_is_asked_before_audio(self) -> None:
        facts = model("org/speech-embedder", config={"model_type": "wav2vec2"})
        assert describe(facts).model_type is ModelType.EMBEDDING

    @pytest.mark.parametrize(
        "name",
        [
            "org/Llama-3.2-1B-Instruct-4bit",
            "org/Mistral-7B-INSTRUCT",
            "org/openchat",
            "org/gemma-3-1b-it",
            "org/gemma-3-1b-it-4bit",
            "org/gemma-3-1b-IT-qat",
        ],
    )
    def test_names_that_say_chat(self, name: str) -> None:
        assert describe(model(name)).model_type is ModelType.CHAT
        assert describe(model(name)).capabilities == (TEXT, CHAT)

    @pytest.mark.parametrize(
        "name", ["instruct/Llama-3.2-1B", "org/Llama-3.2-1B", "org/phi-italian", "org/split"]
    )
    def test_names_that_do_not(self, name: str) -> None:
        assert describe(model(name)).model_type is ModelType.BASE
        assert describe(model(name)).capabilities == (TEXT,)

    def test_a_chat_template_says_chat(self) -> None:
        assert describe(model("org/Llama-3.2-1B", chat_template=True)).model_type is ModelType.CHAT

    @pytest.mark.parametrize("config", [None, Invalid("not JSON"), {}])
    def test_without_a_readable_config_nothing_is_known(self, config: Document | None) -> None:
        description = describe(model("org/Llama-Instruct", config=config, chat_template=True))
        assert description.model_type is ModelType.UNKNOWN
        assert description.capabilities == ()
        assert description.audio_backend is None
        assert description.context_length is None
        assert description.architecture is None


class TestVision:
    @pytest.mark.parametrize(
        "facts",
        [
            family("unheard_of", vision_config={"hidden_size": 8}),
            *(family(name) for name in sorted(families.VISION)),
            *(family(name) for name in sorted(families.MULTIMODAL_WITHOUT_VISION_CONFIG)),
            family("Qwen2_VL"),
            model(documents={"preprocessor_config.json": IMAGE_PROCESSOR}),
            model(documents={"processor_config.json": {"image_processor": {"size": 224}}}),
        ],
    )
    def test_seeing_models_chat(self, facts: SnapshotFacts) -> None:
        description = describe(facts)
        assert description.model_type is ModelType.CHAT
        assert description.capabilities[:3] == (TEXT, CHAT, VISION)

    @pytest.mark.parametrize(
        "facts",
        [
            family("gemma3", vision_config=None),
            family("gemma3", vision_config={}),
            family("gemma3", vision_config=True),
            family("gemma3", vision_config="yes"),
            family("gemma3", vision_config=["depth"]),
            family("gemma3_text"),
            family("qwen2_vl_text"),  # no substring match here
            family("qwen2", text_config={"vision_config": {"depth": 1}}),
            model(documents={"preprocessor_config.json": {}}),
            model(documents={"preprocessor_config.json": {"image_processor": {}}}),
            model(
                documents={"preprocessor_config.json": {"feature_extractor_type": "WhisperFeatureExtractor"}}
            ),
            model(documents={"preprocessor_config.json": Invalid("not JSON")}),
            model(documents={"sub/preprocessor_config.json": IMAGE_PROCESSOR}),
        ],
    )
    def test_stubs_and_lookalikes_do_not_see(self, facts: SnapshotFacts) -> None:
        assert VISION not in describe(facts).capabilities
        assert describe(facts).model_type is ModelType.BASE


class TestAudio:
    @pytest.mark.parametrize(
        "facts",
        [
            family("gemma3n", audio_config={"hidden_size": 8}),
            *(family(name) for name in sorted(families.AUDIO_MULTIMODAL)),
            model(
                documents={"preprocessor_config.json": {"feature_extractor_type": "WhisperFeatureExtractor"}}
            ),
            model(
                documents={
                    "processor_config.json": {
                        "feature_extractor": {"feature_extractor_type": "WhisperFeatureExtractor"}
                    }
                }
            ),
        ],
    )
    def test_chat_models_that_hear_go_to_mlx_vlm(self, facts: SnapshotFacts) -> None:
        description = describe(facts)
        assert AUDIO in description.capabilities
        assert TEXT in description.capabilities
        assert TRANSLATE not in description.capabilities
        assert description.audio_backend is AudioBackend.MLX_VLM

    @pytest.mark.parametrize(
        "facts",
        [
            family("gemma3n", audio_config=None),
            family("gemma3n", audio_config={}),
            model(documents={"preprocessor_config.json": {"feature_extractor_type": "CLIPFeatureExtractor"}}),
            model(documents={"preprocessor_config.json": {"feature_extractor": "WhisperFeatureExtractor"}}),
        ],
    )
    def test_stubs_and_lookalikes_do_not_hear(self, facts: SnapshotFacts) -> None:
        assert describe(facts).capabilities == (TEXT,)
        assert describe(facts).audio_backend is None

    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("mlx-community/whisper-tiny-mlx", WHISPER),
            ("mlx-community/whisper-large-v3-mlx", {**WHISPER, "n_vocab": 51866}),
            ("openai/whisper-small", {"model_type": "whisper", "vocab_size": 51865}),
            ("org/whisper", {"model_type": "whisper"}),
            ("org/whisper-genitive.entry", WHISPER),
        ],
    )
    def test_multilingual_whisper_translates(self, name: str, config: JsonObject) -> None:
        assert describe(model(name, config=config)).capabilities == (AUDIO, TRANSLATE)

    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("mlx-community/whisper-tiny.en-mlx", WHISPER),
            ("mlx-community/whisper-medium.en", {"model_type": "whisper"}),
            ("mlx-community/whisper-large-v3-turbo", WHISPER),
            ("mlx-community/whisper-large-v3-Turbo-q4", WHISPER),
            ("mlx-community/distil-whisper-large-v3", WHISPER),
            ("renamed-english", {**WHISPER, "n_vocab": 51864}),
            ("renamed-english", {"model_type": "whisper", "vocab_size": 51864}),
            ("renamed-turbo", {**WHISPER, "n_audio_layer": 32, "n_text_layer": 4}),
            ("renamed-turbo", {"model_type": "whisper", "encoder_layers": 32, "decoder_layers": 4}),
            ("mlx-community/parakeet-tdt-0.6b-v3", {"model_type": "parakeet"}),
            ("mlx-community/Voxtral-Mini-3B", {"model_type": "voxtral", "vocab_size": 131072}),
        ],
    )
    def test_the_others_only_write_down(self, name: str, config: JsonObject) -> None:
        assert describe(model(name, config=config)).capabilities == (AUDIO,)


class TestArchitecture:
    @pytest.mark.parametrize(
        ("config", "architecture"),
        [
            ({"model_type": "llama"}, "llama"),
            ({"n_mels": 80, "n_audio_state": 384}, "whisper"),
            ({"model_type": "", "n_mels": 80, "n_audio_state": 384}, "whisper"),
            ({"n_mels": 80, "dim_in": 64}, None),  # Kokoro
            ({"target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel"}, "parakeet"),
            ({"target": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE"}, "parakeet"),
            ({"target": "nemo.collections.asr.models.aed_multitask_models.EncDecMultiTaskModel"}, "canary"),
            ({"target": "nemo.collections.tts.models.FastPitchModel"}, None),
            ({"target": 7}, None),
            ({"model_type": ["llama"]}, None),
            ({"model_type": None}, None),
            ({}, None),
        ],
    )
    def test_the_config_tells_it(self, config: JsonObject, architecture: str | None) -> None:
        assert architecture_of(config) == architecture

    def test_parakeet_without_a_model_type_is_a_recogniser(self) -> None:
        config: JsonObject = {"target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel"}
        assert describe(model("mlx-community/parakeet-tdt-0.6b-v2", config=config)).capabilities == (AUDIO,)


class TestContextLength:
    @pytest.mark.parametrize(
        ("config", "length"),
        [
            ({"max_position_embeddings": 4096}, 4096),
            ({"n_positions": 1024}, 1024),
            ({"context_length": 2048}, 2048),
            ({"max_sequence_length": 512}, 512),
            ({"seq_len": 256}, 256),
            ({"seq_len": 1, "n_positions": 2, "max_position_embeddings": 3}, 3),
            ({"max_position_embeddings": "32768"}, 32768),
            ({"text_config": {"max_position_embeddings": 8192}}, 8192),
            ({"seq_len": 7, "text_config": {"max_position_embeddings": 8192}}, 7),
            ({"max_position_embeddings": None, "text_config": {"seq_len": "9"}}, 9),
            ({"max_position_embeddings": 0, "n_positions": 5}, 5),
        ],
    )
    def test_the_first_key_that_says_it(self, config: JsonObject, length: int) -> None:
        assert context_length_of(config) == length
        assert describe(model(config={"model_type": "llama", **config})).context_length == length

    @pytest.mark.parametrize(
        "value",
        [True, False, 0, -1, 4096.0, "0", "-5", "4k", "", "٤٠٩٦", "4" * 20, None, [4096], {"value": 4096}],
    )
    def test_what_is_no_positive_integer_says_nothing(self, value: Any) -> None:
        assert context_length_of({"max_position_embeddings": value}) is None
        assert context_length_of({"text_config": {"max_position_embeddings": value}}) is None

    @pytest.mark.parametrize("text_config", [None, "x", [], 5])
    def test_an_odd_text_config_says_nothing(self, text_config: Any) -> None:
        assert context_length_of({"text_config": text_config}) is None

    def test_other_nested_configs_do_not_count(self) -> None:
        assert context_length_of({"vision_config": {"max_position_embeddings": 77}}) is None


class TestQuantization:
    @pytest.mark.parametrize(
        ("config", "quantization"),
        [
            ({"quantization": {"bits": 4, "group_size": 64}}, Quantization(4, 64, None)),
            (
                {"quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4"}},
                Quantization(4, 32, "mxfp4"),
            ),
            ({"quantization": {"bits": "8"}}, Quantization(8, None, None)),
            ({"quantization_config": {"bits": 3, "group_size": 128}}, Quantization(3, 128, None)),
            ({"quantization": {}, "quantization_config": {"bits": 6}}, Quantization(6, None, None)),
            ({"quantization": {"bits": 2}, "quantization_config": {"bits": 6}}, Quantization(2)),
            ({"quantization": {"bits": 4, "group_size": True, "mode": 7}}, Quantization(4)),
            ({"quantization": {"bits": True}}, None),
            ({"quantization": 4}, None),
            ({"quantization": None}, None),
            ({}, None),
        ],
    )
    def test_bits_group_size_and_mode(self, config: JsonObject, quantization: Quantization | None) -> None:
        assert quantization_of(config) == quantization


REAL: list[tuple[str, JsonObject, dict[str, Document], bool, ModelType, tuple[Capability, ...]]] = [
    # name, config, other documents, chat template, type, capabilities
    (
        "mlx-community/gemma-3-1b-it-4bit",
        {"model_type": "gemma3_text"},
        {},
        True,
        ModelType.CHAT,
        (TEXT, CHAT),
    ),
    (
        "mlx-community/gemma-3-12b-it-4bit-DWQ",  # converted by mlx-lm, which drops `vision_config`
        {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}},
        {},
        True,
        ModelType.CHAT,
        (TEXT, CHAT),
    ),
    (
        "mlx-community/gemma-3n-E2B-it-4bit",
        {"model_type": "gemma3n", "vision_config": {"a": 1}, "audio_config": {"a": 1}},
        {"processor_config.json": {"processor_class": "Gemma3nProcessor"}},
        True,
        ModelType.CHAT,
        (TEXT, CHAT, VISION, AUDIO),
    ),
    (
        "mlx-community/Llama-3.2-11B-Vision-Instruct-4bit",
        {"model_type": "mllama", "vision_config": {"a": 1}},
        {"preprocessor_config.json": {"image_processor_type": "MllamaImageProcessor"}},
        True,
        ModelType.CHAT,
        (TEXT, CHAT, VISION),
    ),
    (
        "mlx-community/Phi-3.5-vision-instruct-4bit",  # has no `vision_config`
        {"model_type": "phi3_v", "img_processor": {"name": "clip_vision_model"}},
        {"preprocessor_config.json": {"image_processor_type": "Phi3VImageProcessor"}},
        True,
        ModelType.CHAT,
        (TEXT, CHAT, VISION),
    ),
    (
        "mlx-community/FastVLM-0.5B-bf16",
        {"model_type": "llava_qwen2"},
        {},
        False,
        ModelType.CHAT,
        (TEXT, CHAT, VISION),
    ),
    (
        "mlx-community/bge-small-en-v1.5-bf16",
        {"model_type": "bert"},
        {},
        False,
        ModelType.EMBEDDING,
        (EMBED,),
    ),
    (
        "mlx-community/nomicai-modernbert-embed",
        {"model_type": "modernbert"},
        {},
        False,
        ModelType.EMBEDDING,
        (EMBED,),
    ),
    ("mlx-community/mamba-130m-hf-f32", {"model_type": "mamba"}, {}, False, ModelType.BASE, (TEXT,)),
    ("mlx-community/Qwen3-ASR-0.6B-8bit", {"model_type": "qwen3_asr"}, {}, True, ModelType.AUDIO, (AUDIO,)),
]


@pytest.mark.parametrize(
    ("name", "config", "documents", "chat_template", "model_type", "capabilities"),
    REAL,
    ids=[row[0].rpartition("/")[2] for row in REAL],
)
def test_models_as_they_are_on_the_hub(
    name: str,
    config: JsonObject,
    documents: dict[str, Document],
    *,
    chat_template: bool,
    model_type: ModelType,
    capabilities: tuple[Capability, ...],
) -> None:
    description = describe(model(name, config=config, documents=documents, chat_template=chat_template))
    assert description.framework is Framework.MLX
    assert description.model_type is model_type
    assert description.capabilities == capabilities


@pytest.mark.parametrize(
    "table",
    [
        families.AUDIO_MULTIMODAL,
        families.EMBEDDING_ENCODERS,
        families.MULTIMODAL_WITHOUT_VISION_CONFIG,
        families.SPEECH_TO_TEXT,
        families.VISION,
    ],
)
def test_family_tables_are_sorted_lower_case_and_give_reasons(table: dict[str, str]) -> None:
    assert list(table) == sorted(table)
    assert all(name == name.lower() and reason for name, reason in table.items())


def test_no_family_is_of_two_kinds() -> None:
    speech = families.SPEECH_TO_TEXT
    for name in {**families.VISION, **families.AUDIO_MULTIMODAL, **families.EMBEDDING_ENCODERS}:
        assert not any(part in name for part in speech), name
    assert not families.VISION.keys() & families.EMBEDDING_ENCODERS.keys()
