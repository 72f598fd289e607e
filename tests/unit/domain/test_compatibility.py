"""Can it run here: gates in order, from facts and from what is installed."""

import pytest

from mlxk.domain.capabilities import describe
from mlxk.domain.compatibility import RuntimePackage, Runtimes, runtime_problem, text_problem
from mlxk.domain.model import FileFact, JsonObject, SnapshotFacts
from tests.unit.domain.building import SEEING, model, weights

LM = RuntimePackage(
    "mlx-lm",
    "0.32.2",
    frozenset({"llama", "qwen3", "gemma3", "bailing_moe_v3", "bailing_hybrid"}),
    {"mistral": "llama", "joyai": "unwritten"},
    {("bailing_hybrid", "BailingMoeV3ForCausalLM"): "bailing_moe_v3", ("llama", "Odd"): "unwritten"},
)
VLM = RuntimePackage(
    "mlx-vlm",
    "0.7.10",
    frozenset({"mllama", "gemma3n", "bert", "qwen3"}),
    {"lfm2-vl": "lfm2_vl"},
    embedding_families=frozenset({"bert", "xlm-roberta", "qwen3"}),
)
AUDIO = RuntimePackage("mlx-audio", "0.6.2", frozenset({"whisper", "parakeet"}), {"parakeet_tdt": "parakeet"})
ALL = Runtimes(LM, VLM, AUDIO)
NONE = Runtimes(None)

QWEN_EMBEDDING = "mlx-community/Qwen3-Embedding-0.6B-4bit"


def problem(facts: SnapshotFacts, runtimes: Runtimes = ALL) -> str | None:
    return runtime_problem(facts, describe(facts), runtimes)


def mlx(config: JsonObject, *files: FileFact, name: str = "mlx-community/model") -> SnapshotFacts:
    return model(name, *files, config=config)


def config(family: str, *architectures: str) -> JsonObject:
    return {"model_type": family, "architectures": list(architectures)}


@pytest.mark.parametrize(
    "facts",
    [
        mlx(config("llama", "LlamaForCausalLM")),
        mlx(config("mistral")),
        mlx(config("bailing_hybrid", "BailingMoeV3ForCausalLM")),
        mlx(config("llama"), weights("model-00001-of-00001.safetensors")),
        mlx(SEEING),
        mlx({"model_type": "gemma3n", "audio_config": {"depth": 2}}),
        mlx({"model_type": "whisper"}, FileFact("weights.npz", 10)),
        mlx({"model_type": "parakeet_tdt"}),
        mlx({"n_mels": 80, "n_audio_state": 384}, FileFact("weights.npz", 10)),
        mlx({"target": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE"}),
        mlx(config("bert")),
        mlx(config("xlm-roberta")),
        mlx(config("qwen3"), name=QWEN_EMBEDDING),
    ],
)
def test_models_that_run(facts: SnapshotFacts) -> None:
    assert problem(facts) is None


class TestFramework:
    @pytest.mark.parametrize(
        ("path", "framework"),
        [("model.gguf", "GGUF"), ("model.safetensors", "PyTorch"), ("weights.npz", "Unknown")],
    )
    def test_other_weights_do_not_run(self, path: str, framework: str) -> None:
        assert problem(model("org/model", FileFact(path, 10))) == f"{framework} weights do not run on MLX"

    def test_it_is_the_first_gate(self) -> None:
        assert problem(model("org/model", config=SEEING), NONE) == "PyTorch weights do not run on MLX"


class TestAudio:
    def test_the_package_and_how_to_get_it_are_named(self) -> None:
        said = problem(mlx({"model_type": "whisper"}), Runtimes(LM, VLM))
        assert said == "mlx-audio is not installed: pip install 'mlxk[audio]'"

    def test_an_unknown_family_is_named_with_what_is_installed(self) -> None:
        said = problem(mlx({"model_type": "voxtral"}))
        assert said == (
            "Model type 'voxtral' is not supported by mlx-audio 0.6.2; a newer mlx-audio may know it"
        )

    def test_chat_models_that_hear_need_mlx_vlm(self) -> None:
        facts = mlx({"model_type": "gemma3n", "audio_config": {"depth": 2}})
        assert problem(facts, Runtimes(LM, None, AUDIO)) == (
            "mlx-vlm is not installed: pip install 'mlxk[vision]'"
        )


class TestVision:
    def test_the_package_and_how_to_get_it_are_named(self) -> None:
        assert problem(mlx(SEEING), Runtimes(LM)) == "mlx-vlm is not installed: pip install 'mlxk[vision]'"

    def test_an_unknown_family_is_named_with_what_is_installed(self) -> None:
        said = problem(mlx({"model_type": "fuyu", "vision_config": {"depth": 2}}))
        assert said == "Model type 'fuyu' is not supported by mlx-vlm 0.7.10; a newer mlx-vlm may know it"

    def test_weights_may_have_any_name(self) -> None:
        assert problem(mlx(SEEING, weights("weights.00.safetensors"))) is None

    def test_a_text_runtime_is_not_asked(self) -> None:
        assert problem(mlx(SEEING), Runtimes(None, VLM)) is None


class TestEmbeddings:
    def test_the_package_and_how_to_get_it_are_named(self) -> None:
        said = problem(mlx(config("bert")), Runtimes(LM))
        assert said == "mlx-vlm is not installed: pip install 'mlxk[vision]'"

    def test_a_family_without_an_embedding_loader_does_not_run(self) -> None:
        facts = mlx(config("mllama"), name="mlx-community/mllama-embedding")
        assert problem(facts) == "Embedding family 'mllama' is not supported by mlx-vlm 0.7.10"
        assert problem(mlx(config("nomic_bert"))) is not None

    def test_a_decoder_that_embeds_is_not_asked_of_mlx_lm(self) -> None:
        assert problem(mlx(config("qwen3"), name=QWEN_EMBEDDING), Runtimes(None, VLM)) is None


class TestText:
    def test_the_package_is_named(self) -> None:
        assert problem(mlx(config("llama")), NONE) == "mlx-lm is not installed: pip install mlx-lm"

    def test_an_unknown_family_is_named_with_what_is_installed(self) -> None:
        assert problem(mlx(config("brandnew"))) == (
            "Model type 'brandnew' is not supported by mlx-lm 0.32.2; a newer mlx-lm may know it"
        )

    def test_an_alias_to_an_unknown_family_does_not_help(self) -> None:
        assert problem(mlx(config("joyai"))) is not None

    def test_the_architecture_wins_over_the_alias(self) -> None:
        assert problem(mlx(config("llama", "Odd"))) is not None
        assert problem(mlx(config("llama", "Even"))) is None

    def test_remapping_is_not_applied_twice(self) -> None:
        chain = RuntimePackage("mlx-lm", "1", frozenset({"c"}), {"a": "b", "b": "c"})
        assert not chain.knows({"model_type": "a"})
        assert chain.knows({"model_type": "b"})

    @pytest.mark.parametrize(
        "odd", [{"x": 1}, {"model_type": None, "x": 1}, {"model_type": 3}, {"model_type": ""}]
    )
    def test_a_config_without_a_family(self, odd: JsonObject) -> None:
        assert problem(mlx(odd)) == "config.json has no model_type"
        assert problem(mlx(odd, name=QWEN_EMBEDDING)) == "config.json has no model_type"

    @pytest.mark.parametrize("architectures", ["Odd", ["Odd"], ["Even", "Odd"], [None, "Odd"]])
    def test_architectures_come_in_many_shapes(self, architectures: list[str] | str) -> None:
        assert LM.family_of({"model_type": "llama", "architectures": architectures}) == "unwritten"

    @pytest.mark.parametrize("architectures", [None, 5, [], {}, [["Odd"]]])
    def test_odd_architectures_are_overlooked(self, architectures: None) -> None:
        assert LM.family_of({"model_type": "llama", "architectures": architectures}) == "llama"

    @pytest.mark.parametrize("path", ["weights.00.safetensors", "weights.safetensors", "weights.npz"])
    def test_legacy_weight_names_are_rejected(self, path: str) -> None:
        assert problem(mlx(config("llama"), FileFact(path, 10))) == (
            "Legacy weight names (weights.*): mlx-lm loads model*.safetensors only"
        )

    @pytest.mark.parametrize(
        "path", ["pytorch_model.bin", "consolidated.safetensors", "model.bin", "model.npz"]
    )
    def test_other_names_are_too(self, path: str) -> None:
        assert (
            problem(mlx(config("llama"), FileFact(path, 10)))
            == "No model*.safetensors file for mlx-lm to load"
        )

    def test_the_family_is_asked_before_the_names(self) -> None:
        said = problem(mlx(config("brandnew"), FileFact("weights.npz", 10)))
        assert said is not None
        assert "brandnew" in said

    def test_a_seeing_model_may_still_be_asked_for_its_text(self) -> None:
        facts = mlx({"model_type": "gemma3", "vision_config": {"depth": 2}})
        assert text_problem(facts, describe(facts), Runtimes(LM)) is None

    def test_what_gives_no_text_is_not_asked_for_any(self) -> None:
        facts = mlx({"model_type": "whisper"})
        said = text_problem(facts, describe(facts), Runtimes(LM))
        assert said == "It does not generate text: it is of type 'audio'"

    def test_the_framework_is_asked_before_the_type(self) -> None:
        facts = model("org/quants", FileFact("model.gguf", 10))
        assert text_problem(facts, describe(facts), Runtimes(LM)) == "GGUF weights do not run on MLX"
