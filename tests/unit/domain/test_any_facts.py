"""Whatever lies on a disk is judged, and never raises."""

import string
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.domain.capabilities import describe
from mlxk.domain.findings import Finding, Severity
from mlxk.domain.health import assess, assess_verified
from mlxk.domain.model import (
    FileFact,
    FrontMatter,
    HeaderProblem,
    Invalid,
    LinkState,
    SafetensorsHeader,
    SnapshotFacts,
)
from mlxk.domain.verification import FileVerdict, Outcome

INDEX = "model.safetensors.index.json"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
telling_keys = st.sampled_from(
    [
        "architectures", "audio_config", "context_length", "feature_extractor", "feature_extractor_type",
        "image_processor", "image_processor_type", "model_type", "n_audio_state", "n_mels", "n_vocab",
        "quantization", "quantization_config", "target", "text_config", "vision_config", "vocab_size",
        "weight_map",
    ]
)  # fmt: skip
telling_values = st.sampled_from(["whisper", "bert", "mllama", "qwen2_vl", "llama"]) | json_values
paths = st.sampled_from(
    [
        "config.json", "model.safetensors", INDEX, "consolidated.safetensors.index.json", "README.md",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model-00001-of-000003.safetensors",
        "m-00009-of-00002.gguf", "00000-of-00000.bin", "m-٠٠٠١-of-٠٠٠٢.bin", "preprocessor_config.json",
        "processor_config.json", "tokenizer.json", "tokenizer_config.json", "x.incomplete",
        "", "/", "..", "\udcff",
    ]
) | st.text(string.printable, max_size=12)  # fmt: skip
json_objects = st.dictionaries(
    telling_keys | st.text(max_size=6), telling_values, max_size=5
) | st.fixed_dictionaries({"weight_map": st.dictionaries(st.text(max_size=3), paths, max_size=4)})
headers = (
    st.none()
    | st.builds(HeaderProblem, st.text(max_size=6))
    | st.builds(
        SafetensorsHeader,
        st.frozensets(st.text(max_size=3), max_size=3),
        st.integers(),
        st.dictionaries(st.sampled_from(["format", "x"]), st.sampled_from(["mlx", "pt"])),
    )
)
files = st.builds(
    FileFact,
    paths,
    st.integers(),
    st.integers(),
    st.sampled_from(LinkState),
    st.none() | st.text(max_size=6),
    st.booleans(),
    headers,
)
facts_of_any_kind = st.builds(
    SnapshotFacts,
    st.sampled_from(["org/model", "mlx-community/x-embed", "whisper.en", ""]) | st.text(max_size=12),
    st.lists(files, max_size=6).map(tuple),
    st.dictionaries(paths, st.builds(Invalid, st.text(max_size=6)) | json_objects, max_size=4),
    st.booleans(),
    st.builds(
        FrontMatter, st.lists(st.text(max_size=4), max_size=2).map(tuple), st.none() | st.text(max_size=4)
    ),
    st.lists(st.tuples(paths, st.text(max_size=6)), max_size=2).map(tuple),
)
verdicts_of_any_kind = st.lists(st.builds(FileVerdict, paths, st.sampled_from(Outcome)), max_size=3)


@given(facts_of_any_kind, verdicts_of_any_kind)
@settings(deadline=None, max_examples=250)
def test_bad_data_is_judged_and_never_raises(facts: SnapshotFacts, verdicts: list[FileVerdict]) -> None:
    describe(facts)
    for report in (assess(facts), assess_verified(facts, verdicts)):
        assert report.healthy == (not [f for f in report.findings if f.severity is Severity.ERROR])
        assert report.reason
        assert list(report.findings) == sorted(report.findings, key=lambda f: (f.code.precedence, f.file))
        assert all(isinstance(f, Finding) and f.message for f in report.findings)


@given(facts_of_any_kind, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_files_changes_nothing(facts: SnapshotFacts, random: Random) -> None:
    shuffled = list(facts.files)
    random.shuffle(shuffled)
    same = SnapshotFacts(
        facts.name, tuple(shuffled), facts.documents, facts.chat_template, facts.card, facts.unreadable
    )
    assert {f.code for f in assess(same).findings} == {f.code for f in assess(facts).findings}
