"""What looks like a secret, and what a tokenizer's files only seem to be."""

import base64
import random

import pytest

from mlxk.domain.secrets import MAX_SCANNED, Secret, looks_private, may_hold_text, secret_in


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".env.local", "sub/.env", "server.pem", "deep/KEY.PEM", "id_rsa", "id_ed25519", "x.key"),
        *("token", "hf_token", "my-token.txt", ".hf.token", "API_TOKEN.json", "secrets.yaml", ".netrc"),
        *("credentials.json", "password.txt", ".pypirc", "vault.kdbx"),
    ],
)
def test_names_that_secrets_go_by(path: str) -> None:
    assert looks_private(path)


@pytest.mark.parametrize(
    "path",
    [
        *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json", "tokens.txt"),
        *("special_tokens_map.json", "config.json", "model.safetensors", "README.md", "environment.yml"),
        *("monkey.txt", "id_rsa.pub", "tokenization_qwen.py", "token_embeddings/notes.md"),
    ],
)
def test_names_of_models_are_no_secrets(path: str) -> None:
    assert not looks_private(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("HF_TOKEN=hf_" + "a1B2c3D4e5" * 3 + "abcd\n", "a Hub token"),
        ("x hf_oauth_" + "a1B2c3D4e5" * 3 + " y", "a Hub token"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc", "a private key"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "a private key"),
        ("aws_access_key_id = AKIA" + "Q3EGR7ZKLM2WPX5T", "an AWS access key"),
        ("https://ghp_" + "a1B2c3D4e5f6" * 3 + "@github.com", "a GitHub token"),
        ("github_pat_" + "11ABCDEFG0" * 2 + "_" + "a1B2c3D4e5" * 6, "a GitHub token"),
        ("OPENAI_API_KEY=sk-" + "a1B2c3D4e5f6" * 4, "an API key"),
        ("key: 'sk-proj-" + "a1B2-c3D4_e5f6" * 8 + "'", "an API key"),
        ("SLACK=xoxb-" + "123456789012-abcDEFghi", "a Slack token"),
        ('{"key": "AIza' + "Sy_a1B2c3D4e5F6-7" * 2 + 'x"}', "a Google API key"),
        ("hf_" + "x" * 34 + " or hf_" + "a1B2c3D4e5" * 3, "a Hub token"),
    ],
)
def test_secrets_in_a_text_are_named_and_not_repeated(text: str, what: str) -> None:
    assert secret_in(text) == Secret(what, certain=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "from transformers import hf_model_weights_and_tokenizers_of_everything",
        "use your hf_token, as in hf_xxxxxxxx",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "sk-learn-pipelines-and-their-many-estimators-for-2024",
        "task-sk-" + "a1B2c3D4e5f6" * 4,
        "AKIA",
        "AIza",
        "ghp_token",
        "github_pat_",
        "xoxb-your-token-goes-here",
        "sk-...",
        "AKIAABCDEFGHIJKLMNOPQRSTUVWXYZ",
        '{"vocab": {"sk": 1, "-": 2, "sk-": 3, "AKIA": 4, "xox": 5, "AIza": 6, "hf_": 7, "ghp_": 8}}',
        "sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_texts_about_secrets_hold_none(text: str) -> None:
    assert secret_in(text) is None


def test_only_small_files_that_are_no_weights_are_read() -> None:
    assert may_hold_text("notes.txt", 1)
    assert may_hold_text("notes.txt", MAX_SCANNED)
    assert not may_hold_text("notes.txt", MAX_SCANNED + 1)
    assert not may_hold_text("notes.txt", 0)
    assert not may_hold_text("model.safetensors", 100)


@pytest.mark.parametrize("text", ["AKIAIOSFODNN7" + "EXAMPLE", "hf_" + "x" * 34, "ghp_" + "X" * 36])
def test_a_placeholder_is_not_certain(text: str) -> None:
    found = secret_in(text)
    assert found is not None
    assert not found.certain


def test_the_files_of_a_tokenizer_hold_none() -> None:
    """Megabytes of what looks random: tiktoken's base64 vocabulary, hashes, an image in a notebook."""
    chance = random.Random(7)
    blob = base64.b64encode(chance.randbytes(700_000)).decode()
    vocabulary = "\n".join(
        f"{base64.b64encode(chance.randbytes(chance.randint(1, 40))).decode()} {rank}"
        for rank in range(20_000)
    )
    merges = "\n".join(f"{chance.choice(blob)} {blob[n : n + 6]}" for n in range(20_000))
    assert [secret_in(text) for text in (blob, vocabulary, merges)] == [None, None, None]
