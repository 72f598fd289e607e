"""What looks like a secret, and what a tokenizer's files only seem to be."""

import pytest

from mlxk.domain.secrets import MAX_SCANNED, looks_private, may_hold_text, secret_in


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
    ],
)
def test_secrets_in_a_text_are_named_and_not_repeated(text: str, what: str) -> None:
    assert secret_in(text) == what


@pytest.mark.parametrize(
    "text",
    [
        "",
        "from transformers import hf_model_weights_and_tokenizers_of_everything",
        "use your hf_token, as in hf_xxxxxxxx",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
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
