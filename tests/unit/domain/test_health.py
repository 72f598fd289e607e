"""Integrity: each finding from facts alone, their order, and the reasons people and scripts know."""

from dataclasses import dataclass

import pytest

from mlxk.domain.findings import Code, Remedy, Severity
from mlxk.domain.health import assess, assess_verified
from mlxk.domain.model import (
    Absence,
    FileFact,
    HeaderProblem,
    Invalid,
    JsonObject,
    LinkState,
    SafetensorsHeader,
    SnapshotFacts,
)
from mlxk.domain.verification import FileVerdict, Outcome
from tests.unit.domain.building import SEEING, codes, index, model, reason, shard_name, shards, weights

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Case:
    """A model with exactly one thing wrong."""

    facts: SnapshotFacts
    file: str
    remedy: Remedy
    reason: str


CASES: dict[Code, Case] = {
    Code.UNREADABLE: Case(
        model(unreadable=(("model-extra.safetensors", "Permission denied"),)),
        "model-extra.safetensors",
        Remedy.FIX_PERMISSIONS,
        "model-extra.safetensors cannot be read: Permission denied",
    ),
    Code.CONFIG_MISSING: Case(model(config=None), "config.json", Remedy.FETCH_AGAIN, "config.json missing"),
    Code.CONFIG_INVALID: Case(
        model(config=Invalid("not an object")),
        "config.json",
        Remedy.FIX_FILE,
        "config.json contains invalid JSON",
    ),
    Code.NO_WEIGHTS: Case(
        model("org/model", FileFact("README.md", 10)),
        ".",
        Remedy.FETCH_AGAIN,
        "No model weights found",
    ),
    Code.INDEX_INVALID: Case(
        model(documents={INDEX: Invalid("not JSON")}),
        INDEX,
        Remedy.REPAIR_INDEX,
        f"{INDEX} is invalid: not JSON",
    ),
    Code.SHARD_MISSING: Case(
        model("org/model", *shards(1, 3, of=3), documents={INDEX: index(shards(1, 2, 3, of=3))}),
        "model-00002-of-00003.safetensors",
        Remedy.FETCH_AGAIN,
        "Missing weight shards: model-00002-of-00003.safetensors",
    ),
    Code.SHARD_TOTALS_INCONSISTENT: Case(
        model(
            "org/model",
            *shards(1, 2, of=2),
            *shards(1, of=3),
            documents={INDEX: index(shards(1, 2, of=2))},
        ),
        "model-00001-of-00002.safetensors",
        Remedy.REMOVE_LEFTOVER,
        "Weight shards of different sets are mixed: of 2, of 3",
    ),
    Code.SHARD_EMPTY: Case(
        model("org/model", FileFact("model.safetensors", 0)),
        "model.safetensors",
        Remedy.FETCH_AGAIN,
        "Empty weight shards: model.safetensors",
    ),
    Code.INDEX_MISMATCH: Case(
        model("org/model", *shards(1, 2, of=2), documents={INDEX: index(shards(1, 2, 3, of=3))}),
        INDEX,
        Remedy.REPAIR_INDEX,
        f"{INDEX} names other shards than are there (e.g. model-00001-of-00003.safetensors)",
    ),
    Code.INDEX_ABSENT_FOR_SHARDS: Case(
        model("org/model", *shards(1, 2, of=2)),
        INDEX,
        Remedy.REPAIR_INDEX,
        "Safetensors index missing for sharded model",
    ),
    Code.TENSOR_NOT_IN_SHARD: Case(
        model(
            "org/model",
            weights("model.safetensors", "a"),
            documents={INDEX: {"weight_map": {"a": "model.safetensors", "b": "model.safetensors"}}},
        ),
        "model.safetensors",
        Remedy.REPAIR_INDEX,
        f"model.safetensors lacks b, which {INDEX} places there",
    ),
    Code.LFS_POINTER: Case(
        model("org/model", FileFact("model.safetensors", 134, lfs_pointer=True)),
        "model.safetensors",
        Remedy.FETCH_AGAIN,
        "LFS pointers instead of files: model.safetensors",
    ),
    Code.SAFETENSORS_HEADER_INVALID: Case(
        model("org/model", FileFact("model.safetensors", 10, header=HeaderProblem("too short"))),
        "model.safetensors",
        Remedy.FETCH_AGAIN,
        "model.safetensors has no valid safetensors header: too short",
    ),
    Code.SAFETENSORS_TRUNCATED: Case(
        model("org/model", weights(missing=1)),
        "model.safetensors",
        Remedy.FETCH_AGAIN,
        "model.safetensors is cut short: 1 bytes missing",
    ),
    Code.SAFETENSORS_OVERSIZED: Case(
        model("org/model", weights(missing=-5)),
        "model.safetensors",
        Remedy.FETCH_AGAIN,
        "model.safetensors is too long: 5 bytes after its last tensor",
    ),
    Code.PARTIAL_DOWNLOAD: Case(
        model(also=["model-00002.safetensors.incomplete"]),
        "model-00002.safetensors.incomplete",
        Remedy.FETCH_AGAIN,
        "Partial download: model-00002.safetensors.incomplete",
    ),
    Code.BROKEN_LINK: Case(
        model("org/model", weights(), FileFact("tokenizer.json", 0, link=LinkState.BROKEN)),
        "tokenizer.json",
        Remedy.FETCH_AGAIN,
        "tokenizer.json is a link that leads nowhere",
    ),
    Code.PATH_ESCAPES_SNAPSHOT: Case(
        model("org/model", weights(), FileFact("tokenizer.json", 10, link=LinkState.ESCAPES)),
        "tokenizer.json",
        Remedy.REPLACE_LINK,
        "tokenizer.json is a link that leads outside the model",
    ),
    Code.TOKENIZER_MISSING: Case(
        model(documents={"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}}),
        "tokenizer.json",
        Remedy.FETCH_AGAIN,
        "Tokenizer missing: neither tokenizer.json nor tokenizer.model nor vocabulary files are there",
    ),
    Code.TOKENIZER_CONFIG_INVALID: Case(
        model(documents={"tokenizer_config.json": Invalid("not JSON")}, also=["tokenizer.json"]),
        "tokenizer_config.json",
        Remedy.FIX_FILE,
        "tokenizer_config.json is invalid: not JSON",
    ),
    Code.PROCESSOR_MISSING: Case(
        model(config=SEEING, also=["tokenizer.json"]),
        "preprocessor_config.json",
        Remedy.FETCH_AGAIN,
        "Image processor missing: neither preprocessor_config.json nor processor_config.json is there",
    ),
    Code.PROCESSOR_INVALID: Case(
        model(
            config=SEEING, documents={"preprocessor_config.json": Invalid("empty")}, also=["tokenizer.json"]
        ),
        "preprocessor_config.json",
        Remedy.FIX_FILE,
        "preprocessor_config.json is invalid: empty",
    ),
}

DEEP_CODES = {Code.DIGEST_MISMATCH}
"""Found by hashing only; see the tests of `assess_verified`."""


def test_every_code_has_its_case() -> None:
    assert set(CASES) | DEEP_CODES == set(Code)


@pytest.mark.parametrize("code", list(CASES), ids=lambda code: code.value)
def test_one_thing_wrong_is_one_finding(code: Code) -> None:
    case = CASES[code]
    report = assess(case.facts)
    assert not report.healthy
    assert report.reason == case.reason
    assert [(f.code, f.file, f.remedy, f.severity) for f in report.findings] == [
        (code, case.file, case.remedy, Severity.ERROR)
    ]
    assert "\n" not in report.findings[0].message


def test_the_codes_are_those_of_the_contract_in_its_order() -> None:
    assert [code.value for code in Code if code not in {Code.UNREADABLE, Code.DIGEST_MISMATCH}] == [
        "config_missing",
        "config_invalid",
        "no_weights",
        "index_invalid",
        "shard_missing",
        "shard_totals_inconsistent",
        "shard_empty",
        "index_mismatch",
        "index_absent_for_shards",
        "tensor_not_in_shard",
        "lfs_pointer",
        "safetensors_header_invalid",
        "safetensors_truncated",
        "safetensors_oversized",
        "partial_download",
        "broken_link",
        "path_escapes_snapshot",
        "tokenizer_missing",
        "tokenizer_config_invalid",
        "processor_missing",
        "processor_invalid",
    ]
    assert [code.precedence for code in Code] == list(range(len(Code)))


class TestReasons:
    def test_a_whole_model_in_one_file(self) -> None:
        assert reason(model()) == "Model is healthy"

    def test_a_whole_model_in_several_files(self) -> None:
        files = shards(1, 2, of=2)
        assert (
            reason(model("org/model", *files, documents={INDEX: index(files)})) == "Multi-file model complete"
        )

    def test_an_empty_config_counts_as_invalid(self) -> None:
        assert reason(model(config={})) == "config.json contains invalid JSON"
        assert assess(model(config={})).errors[0].file == "config.json"

    def test_grouped_findings_are_listed_in_order(self) -> None:
        facts = model("org/model", *shards(2, of=3), documents={INDEX: index(shards(1, 2, 3, of=3))})
        missing = f"{shard_name(1, 3)}, {shard_name(3, 3)}"
        assert reason(facts) == f"Missing weight shards: {missing}"
        empty = model("org/model", FileFact("b.safetensors", 0), FileFact("a.safetensors", 0))
        assert reason(empty) == "Empty weight shards: a.safetensors, b.safetensors"
        pointers = model(
            "org/model",
            FileFact("model.safetensors", 134, lfs_pointer=True),
            FileFact("tokenizer.json", 134, lfs_pointer=True),
        )
        assert reason(pointers) == "LFS pointers instead of files: model.safetensors, tokenizer.json"

    def test_a_long_list_is_cut(self) -> None:
        whole = shards(*range(1, 164), of=163)
        facts = model("org/model", *whole[:1], documents={INDEX: index(whole)})
        named = ", ".join(shard_name(number, 163) for number in range(2, 7))
        assert reason(facts) == f"Missing weight shards: {named} … (157 more)"
        five = model("org/model", *whole[:158], documents={INDEX: index(whole)})
        assert reason(five).endswith(shard_name(163, 163))

    def test_other_findings_are_counted(self) -> None:
        facts = model("org/model", weights("a.safetensors", missing=1), weights("b.safetensors", missing=2))
        assert reason(facts) == "a.safetensors is cut short: 1 bytes missing (and 1 more)"

    def test_what_concerns_the_whole_model_is_said_as_it_is(self) -> None:
        assert reason(SnapshotFacts("org/model", unreadable=((".", "No snapshot is there"),))).startswith(
            "No snapshot is there"
        )


class TestNothingWasLookedAt:
    PARTIAL = FileFact("blobs/0.incomplete", 4)

    @pytest.mark.parametrize(
        ("absence", "remedy"),
        [
            (None, Remedy.FIX_PERMISSIONS),
            (Absence.SNAPSHOT, Remedy.PULL),
            (Absence.LINK_TARGET, Remedy.RESTORE_LINK_TARGET),
        ],
    )
    def test_only_that_is_said_with_what_helps(self, absence: Absence | None, remedy: Remedy) -> None:
        for files in ((), (self.PARTIAL,)):
            facts = SnapshotFacts("org/model", files, unreadable=((".", "closed"),), absence=absence)
            (finding,) = assess(facts).findings
            assert (finding.code, finding.file) == (Code.UNREADABLE, ".")
            assert (finding.message, finding.remedy) == ("closed", remedy)
            assert assess_verified(facts, []) == assess(facts)

    def test_what_was_listed_is_judged_even_if_the_rest_was_not(self) -> None:
        facts = model(config=None, unreadable=((".", "more than 20000 files"),))
        assert codes(facts) == [Code.UNREADABLE, Code.CONFIG_MISSING]


class TestUnreadableFiles:
    def test_nothing_else_is_said_of_a_file_and_it_only_once(self) -> None:
        name, denied = "model.safetensors", "Permission denied"
        closed = FileFact(name, 500, header=HeaderProblem(denied))
        facts = model("org/model", closed, unreadable=((name, denied), (name, denied)))
        verdicts = [FileVerdict(name, Outcome.UNREADABLE, problem=denied)]
        for report in (assess(facts), assess_verified(facts, verdicts)):
            (finding,) = report.findings
            assert (finding.code, finding.file, finding.remedy) == (
                Code.UNREADABLE,
                name,
                Remedy.FIX_PERMISSIONS,
            )


class TestPrecedence:
    def test_the_reason_is_the_earliest_code_whatever_was_found_first(self) -> None:
        facts = model(
            "org/model",
            weights(missing=1),
            config=None,
            documents={"tokenizer_config.json": Invalid("not JSON")},
            also=["x.tmp"],
        )
        assert codes(facts) == [
            Code.CONFIG_MISSING,
            Code.SAFETENSORS_TRUNCATED,
            Code.PARTIAL_DOWNLOAD,
            Code.TOKENIZER_MISSING,
            Code.TOKENIZER_CONFIG_INVALID,
        ]
        assert reason(facts) == "config.json missing"

    def test_a_warning_is_no_reason(self) -> None:
        report = assess(model("org/model", weights(), FileFact("README.md", 0, link=LinkState.BROKEN)))
        assert report.healthy
        assert report.reason == "Model is healthy"
        assert [finding.severity for finding in report.findings] == [Severity.WARNING]

    def test_nothing_at_all_lacks_its_config_first(self) -> None:
        assert codes(SnapshotFacts("org/model")) == [Code.CONFIG_MISSING, Code.NO_WEIGHTS]


class TestContent:
    @pytest.mark.parametrize("suffix", ["incomplete", "partial", "tmp"])
    def test_leftovers_of_downloads(self, suffix: str) -> None:
        assert codes(model(also=[f"model.safetensors.{suffix}"])) == [Code.PARTIAL_DOWNLOAD]

    def test_a_pointer_is_only_a_pointer(self) -> None:
        header = SafetensorsHeader(frozenset({"a"}), 5)
        assert codes(
            model("org/model", FileFact("model.safetensors", 134, lfs_pointer=True, header=header))
        ) == [Code.LFS_POINTER]

    def test_safetensors_in_folders_are_looked_into(self) -> None:
        facts = model("org/model", weights(), weights("2_Dense/model.safetensors", missing=3))
        assert codes(facts) == [Code.SAFETENSORS_TRUNCATED]

    def test_what_lies_behind_a_bad_link_is_not_judged(self) -> None:
        files = [
            FileFact("a.safetensors", 0, link=LinkState.BROKEN),
            FileFact("b.safetensors", 5, link=LinkState.ESCAPES, header=HeaderProblem("odd")),
        ]
        assert codes(model("org/model", *files)) == [Code.BROKEN_LINK, Code.PATH_ESCAPES_SNAPSHOT]

    def test_links_inside_the_repository_are_as_good_as_files(self) -> None:
        header = SafetensorsHeader(frozenset({"a"}), 5)
        assert assess(
            model("org/model", FileFact("model.safetensors", 5, link=LinkState.INSIDE, header=header))
        ).healthy

    @pytest.mark.parametrize(
        "path",
        ["README.md", "LICENSE", "LICENSE.txt", "NOTICE", "images/a.PNG", "docs/paper.pdf", ".gitattributes"],
    )
    def test_lost_documentation_is_only_told(self, path: str) -> None:
        lost = [
            model("org/model", weights(), FileFact(path, 0, link=LinkState.BROKEN)),
            model("org/model", weights(), FileFact(path, 134, lfs_pointer=True)),
            model(unreadable=((path, "Permission denied"),)),
        ]
        for facts in lost:
            assert assess(facts).healthy
            assert [finding.severity for finding in assess(facts).findings] == [Severity.WARNING]

    @pytest.mark.parametrize(
        "path", ["merges.txt", "vocab.txt", "dict.txt", "tokens.txt", "modeling_x.py", "chat_template.jinja"]
    )
    def test_lost_files_that_a_runtime_may_need_are_errors(self, path: str) -> None:
        lost = [
            model("org/model", weights(), FileFact(path, 0, link=LinkState.BROKEN)),
            model("org/model", weights(), FileFact(path, 134, lfs_pointer=True)),
            model(unreadable=((path, "Permission denied"),)),
        ]
        assert [codes(facts) for facts in lost] == [[Code.BROKEN_LINK], [Code.LFS_POINTER], [Code.UNREADABLE]]

    def test_a_config_behind_a_broken_link_is_not_called_missing(self) -> None:
        facts = model("org/model", weights(), FileFact("config.json", 0, link=LinkState.BROKEN), config=None)
        assert codes(facts) == [Code.BROKEN_LINK]


class TestTokenizer:
    @pytest.mark.parametrize(
        "path",
        [
            "tokenizer.json",
            "tokenizer.jsonl",
            "tokenizer.model",
            "tokenizer.model.v3",
            "spiece.model",
            "sentencepiece.bpe.model",
            "tiktoken.model",
            "qwen.tiktoken",
            "source.spm",
            "vocab.json",
            "vocab.txt",
            "tekken.json",
            "rwkv_vocab_v20230424.txt",
        ],
    )
    def test_vocabularies_go_by_many_names(self, path: str) -> None:
        assert assess(model(documents={"tokenizer_config.json": {}}, also=[path])).healthy

    @pytest.mark.parametrize(
        "path", ["special_tokens_map.json", "added_tokens.json", "merges.txt", "original/tokenizer.model"]
    )
    def test_other_files_are_no_vocabulary(self, path: str) -> None:
        assert codes(model(documents={"tokenizer_config.json": {}}, also=[path])) == [Code.TOKENIZER_MISSING]

    def test_an_empty_file_is_no_vocabulary(self) -> None:
        facts = model(
            "org/model", weights(), FileFact("tokenizer.json", 0), documents={"tokenizer_config.json": {}}
        )
        assert codes(facts) == [Code.TOKENIZER_MISSING]

    def test_a_vocabulary_behind_a_broken_link_is_one_finding(self) -> None:
        broken = FileFact("tokenizer.json", 0, link=LinkState.BROKEN)
        facts = model("org/model", weights(), broken, documents={"tokenizer_config.json": {}})
        assert codes(facts) == [Code.BROKEN_LINK]

    def test_without_a_tokenizer_config_none_is_promised(self) -> None:
        assert assess(model()).healthy
        assert assess(model(also=["tekken.json"])).healthy

    def test_an_invalid_config_still_promises_one(self) -> None:
        facts = model(documents={"tokenizer_config.json": Invalid("not JSON")})
        assert codes(facts) == [Code.TOKENIZER_MISSING, Code.TOKENIZER_CONFIG_INVALID]

    def test_a_seeing_model_needs_one_anyway(self) -> None:
        # Its absence shows up in mlx-vlm as a misleading error about torch.
        assert codes(model(config=SEEING, documents={"preprocessor_config.json": {}})) == [
            Code.TOKENIZER_MISSING
        ]


class TestProcessor:
    @pytest.mark.parametrize("path", ["preprocessor_config.json", "processor_config.json"])
    def test_either_file_will_do(self, path: str) -> None:
        assert assess(model(config=SEEING, documents={path: {}}, also=["tokenizer.json"])).healthy

    def test_a_broken_one_is_said_even_where_nothing_is_seen(self) -> None:
        assert codes(model(documents={"processor_config.json": Invalid("not JSON")})) == [
            Code.PROCESSOR_INVALID
        ]

    @pytest.mark.parametrize("stub", [None, {}])
    def test_a_stub_of_a_vision_config_needs_none(self, stub: JsonObject | None) -> None:
        assert assess(model(config={"model_type": "gemma3", "vision_config": stub})).healthy

    def test_a_text_only_conversion_needs_none(self) -> None:
        facts = model(
            "mlx-community/gemma-3-12b-it-4bit-DWQ", config={"model_type": "gemma3", "text_config": {}}
        )
        assert assess(facts).healthy


class TestVerified:
    def test_a_digest_that_differs_is_damage(self) -> None:
        verdicts = [
            FileVerdict("a.safetensors", Outcome.MATCHES, "0" * 64),
            FileVerdict("model.safetensors", Outcome.DIFFERS, "1" * 64),
        ]
        report = assess_verified(model(), verdicts)
        assert not report.healthy
        assert [(f.code, f.file, f.remedy) for f in report.findings] == [
            (Code.DIGEST_MISMATCH, "model.safetensors", Remedy.FETCH_AGAIN)
        ]
        assert report.reason == (
            "model.safetensors is damaged: its content does not have the digest it should"
        )

    def test_what_could_not_be_hashed_is_unreadable(self) -> None:
        report = assess_verified(
            model(), [FileVerdict("model.safetensors", Outcome.UNREADABLE, problem="Input/output error")]
        )
        assert report.reason == "model.safetensors cannot be read: Input/output error"
        assert report.errors[0].code is Code.UNREADABLE

    def test_quick_findings_stay(self) -> None:
        report = assess_verified(model(config=None), [FileVerdict("model.safetensors", Outcome.DIFFERS)])
        assert [finding.code for finding in report.findings] == [Code.CONFIG_MISSING, Code.DIGEST_MISMATCH]

    def test_all_matching_is_what_a_quick_look_says(self) -> None:
        assert assess_verified(model(), [FileVerdict("model.safetensors", Outcome.MATCHES)]) == assess(
            model()
        )
