"""Weight files, shards and their index: do they belong together?"""

import pytest

from mlxk.domain.findings import Code, Remedy
from mlxk.domain.health import assess
from mlxk.domain.model import FileFact, HeaderProblem, Invalid, JsonObject, LinkState
from tests.unit.domain.building import SEEING, codes, index, model, reason, shard_name, shards, weights

INDEX = "model.safetensors.index.json"


class TestShards:
    def test_numbers_alone_tell_that_shards_are_missing(self) -> None:
        facts = model("org/model", *shards(1, 4, of=4))
        assert reason(facts) == f"Missing weight shards: {shard_name(2, 4)}, {shard_name(3, 4)}"

    def test_the_widths_of_number_and_total_may_differ(self) -> None:
        # As in DeepSeek-V3: model-00001-of-000163.safetensors
        present = shards(1, 3, of=3, width=6)
        facts = model("org/model", *present, documents={INDEX: index(present)})
        without_index = model("org/model", *present)
        assert assess(facts).healthy
        assert reason(without_index) == "Missing weight shards: model-00002-of-000003.safetensors"
        stale = {
            "weight_map": {"x": shard_name(2, 3, width=6), **dict.fromkeys("ab", shard_name(1, 3, width=6))}
        }
        assert [f.file for f in assess(model("org/model", *present, documents={INDEX: stale})).errors].count(
            "model-00002-of-000003.safetensors"
        ) == 1

    @pytest.mark.parametrize("prefix", ["", "model_", "model.fp16-", "a/b"])
    def test_missing_shards_are_named_like_their_siblings(self, prefix: str) -> None:
        facts = model("org/model", FileFact(f"{prefix}00001-of-00002.gguf", 10))
        assert reason(facts) == f"Missing weight shards: {prefix}00002-of-00002.gguf"

    def test_each_missing_shard_is_found_once(self) -> None:
        facts = model("org/model", *shards(1, of=2), documents={INDEX: index(shards(1, 2, of=2))})
        assert codes(facts) == [Code.SHARD_MISSING]

    def test_an_index_without_any_shard(self) -> None:
        facts = model("org/model", FileFact("README.md", 9), documents={INDEX: index(shards(1, 2, of=2))})
        assert codes(facts) == [Code.SHARD_MISSING, Code.SHARD_MISSING]

    def test_an_index_with_all_its_shards_may_count_from_zero(self) -> None:
        files = shards(0, 1, of=2)
        assert assess(model("org/model", *files, documents={INDEX: index(files)})).healthy

    def test_an_index_may_name_shards_in_its_own_way(self) -> None:
        files = [weights("model-1-of-2.safetensors", "a"), weights("layers/2.safetensors", "b")]
        facts = model("org/model", *files, documents={INDEX: index(files)})
        assert reason(facts) == "Multi-file model complete"

    def test_sets_of_different_formats_do_not_mix(self) -> None:
        files = shards(1, 2, of=2)
        pickles = [FileFact(f"pytorch_model-{n:05d}-of-00003.bin", 10) for n in (1, 2, 3)]
        assert assess(model("org/model", *files, *pickles, documents={INDEX: index(files)})).healthy

    def test_shards_of_pickles_and_gguf_need_no_index(self) -> None:
        for name in ("pytorch_model-{:05d}-of-00002.bin", "m-Q8_0-{:05d}-of-00002.gguf"):
            files = [FileFact(name.format(n), 10) for n in (1, 2)]
            assert reason(model("org/model", *files)) == "Multi-file model complete"

    def test_a_single_numbered_shard_needs_no_index(self) -> None:
        assert assess(model("org/model", *shards(1, of=1, width=6))).healthy  # DeepSeek-OCR

    def test_an_absurd_total_is_not_enumerated(self) -> None:
        facts = model("org/model", FileFact("m-000001-of-999999.bin", 10))
        assert len(assess(facts).errors) < 10_001
        assert reason(facts).endswith("more)")

    def test_empty_safetensors_in_a_folder_are_damage_too(self) -> None:
        assert codes(model("org/model", weights(), FileFact("2_Dense/model.safetensors", 0))) == [
            Code.SHARD_EMPTY
        ]

    def test_other_empty_files_are_fine(self) -> None:
        assert assess(model("org/model", weights(), FileFact("__init__.py", 0))).healthy


class TestIndex:
    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"weight_map": {}},
            {"weight_map": None},
            {"weight_map": ["model.safetensors"]},
            {"weight_map": {"a": 5}},
            {"weight_map": {"a": ""}},
            {"weight_map": {"a": "model.safetensors", "b": None}},
        ],
    )
    def test_without_a_usable_map_it_is_invalid(self, document: JsonObject) -> None:
        facts = model(documents={INDEX: document})
        assert codes(facts) == [Code.INDEX_INVALID]
        assert reason(facts) == f"{INDEX} is invalid: it has no weight map"

    def test_an_invalid_index_is_not_called_absent(self) -> None:
        facts = model("org/model", *shards(1, 2, of=2), documents={INDEX: Invalid("not JSON")})
        assert codes(facts) == [Code.INDEX_INVALID]

    def test_an_index_behind_a_broken_link_is_not_called_absent(self) -> None:
        broken = FileFact(INDEX, 0, link=LinkState.BROKEN)
        assert codes(model("org/model", *shards(1, 2, of=2), broken)) == [Code.BROKEN_LINK]

    def test_a_variants_index_is_one(self) -> None:
        # openai/whisper-large-v3 has its float32 weights beside those everyone loads.
        files = [weights(), *shards(1, 2, of=2, prefix="model.fp32")]
        assert assess(model("org/model", *files, also=["model.safetensors.index.fp32.json"])).healthy

    def test_the_names_of_the_unquantized_model_are_a_mismatch(self) -> None:
        # mlx-vlm issue 624: the index of the source was copied beside one quantized file.
        facts = model("org/model", weights(), documents={INDEX: index(shards(1, 2, of=2))})
        assert codes(facts) == [Code.INDEX_MISMATCH]

    def test_a_shard_of_its_own_set_left_out_is_a_mismatch(self) -> None:
        facts = model("org/model", *shards(1, 2, of=2), documents={INDEX: index(shards(1, of=2))})
        assert codes(facts) == [Code.INDEX_MISMATCH]
        assert reason(facts) == f"{INDEX} leaves out the shard {shard_name(2, 2)}"

    def test_missing_files_are_no_mismatch_while_no_other_set_is_whole(self) -> None:
        other = [*shards(1, of=2), weights("consolidated.safetensors")]
        facts = model("org/model", *other, documents={INDEX: index(shards(1, 2, of=2))})
        assert reason(facts) == f"Missing weight shards: {shard_name(2, 2)}"

    @pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "a/../../x", "..\\x", "x\0"])
    def test_a_name_that_leads_outside_is_an_escape(self, name: str) -> None:
        facts = model("org/model", weights("model.safetensors", "a"), documents={
            INDEX: {"weight_map": {"a": "model.safetensors", "b": name}}
        })  # fmt: skip
        assert codes(facts) == [Code.PATH_ESCAPES_SNAPSHOT]
        assert assess(facts).errors[0].remedy is Remedy.REPAIR_INDEX

    def test_tensors_are_looked_for_in_every_shard_that_can_be_read(self) -> None:
        files = [weights("a.safetensors", "x"), FileFact("b.safetensors", 10, header=HeaderProblem("odd"))]
        weight_map = {"x": "a.safetensors", "y": "a.safetensors", "z": "a.safetensors", "q": "b.safetensors"}
        facts = model("org/model", *files, documents={INDEX: {"weight_map": weight_map}})
        assert codes(facts) == [Code.TENSOR_NOT_IN_SHARD, Code.SAFETENSORS_HEADER_INVALID]
        assert reason(facts) == f"a.safetensors lacks y and 1 more, which {INDEX} places there"

    def test_the_index_of_weights_that_were_left_out_on_purpose_is_no_error(self) -> None:
        # mlx-lm downloads *.json and model*.safetensors: Mistral's consolidated index comes alone.
        main = shards(1, 2, of=2)
        consolidated = shards(1, 2, 3, of=3, prefix="consolidated")
        both = {INDEX: index(main), "consolidated.safetensors.index.json": index(consolidated)}
        assert assess(model("org/model", *main, documents=both)).healthy
        assert assess(model("org/model", *main, *consolidated, documents=both)).healthy
        one_left = model("org/model", *main, *consolidated[1:], documents=both)
        assert reason(one_left) == f"Missing weight shards: {consolidated[0].path}"
        neither = model("org/model", main[0], documents=both)
        assert Code.SHARD_MISSING in codes(neither)

    def test_indexes_in_folders_are_not_of_this_model(self) -> None:
        documents = {"original/model.safetensors.index.json": {"weight_map": {"a": "gone.safetensors"}}}
        assert assess(model("org/model", weights("other.safetensors"), documents=documents)).healthy


class TestWeights:
    @pytest.mark.parametrize(
        "path",
        [
            "model.safetensors",
            "weights.npz",
            "consolidated.safetensors",
            "consolidated.00.pth",
            "pytorch_model.bin",
        ],
    )
    def test_weights_go_by_many_names(self, path: str) -> None:
        assert assess(model("org/model", FileFact(path, 10))).healthy

    @pytest.mark.parametrize(
        "path",
        [
            "adapters.safetensors",
            "0000100_adapters.safetensors",
            "adapter_model.safetensors",
            "adapter_model.bin",
            "training_args.bin",
            "optimizer.pt",
            "original/consolidated.00.pth",
            "onnx/model.onnx",
            "unet/diffusion_pytorch_model.safetensors",
            "model.safetensors.md",
        ],
    )
    def test_other_files_are_no_weights(self, path: str) -> None:
        assert reason(model("org/model", FileFact(path, 10))) == "No model weights found"

    def test_folders_beside_the_weights_do_not_matter(self) -> None:
        others = [
            "original/consolidated.00.pth",
            "original/params.json",
            "onnx/model.onnx",
            "1_Pooling/config.json",
        ]
        assert assess(model(also=others)).healthy


class TestGguf:
    def test_it_needs_neither_config_nor_tokenizer_beside_it(self) -> None:
        assert (
            reason(model("org/model", FileFact("model-Q4_K_M.gguf", 10), config=None)) == "Model is healthy"
        )

    def test_what_lies_beside_it_promises_nothing(self) -> None:
        facts = model(
            "unsloth/gemma-3-4b-it-GGUF",
            FileFact("gemma-3-4b-it-Q4_K_M.gguf", 10),
            FileFact("mmproj-F16.gguf", 10),
            config=SEEING,
            documents={"tokenizer_config.json": {}},
        )
        assert assess(facts).healthy

    def test_each_quantization_may_have_its_folder(self) -> None:
        files = [FileFact(f"UD-IQ1_S/R1-{n:05d}-of-00003.gguf", 10) for n in (1, 2, 3)]
        assert reason(model("unsloth/DeepSeek-R1-GGUF", *files, config=None)) == "Multi-file model complete"
        assert reason(model("unsloth/DeepSeek-R1-GGUF", *files[1:], config=None)) == (
            "Missing weight shards: UD-IQ1_S/R1-00001-of-00003.gguf"
        )

    def test_beside_other_weights_the_config_is_needed(self) -> None:
        facts = model("org/model", FileFact("model.gguf", 10), weights(), config=None)
        assert reason(facts) == "config.json missing"
