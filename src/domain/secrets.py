"""Files that look as if they should not be published: by name, and small ones by what they hold."""

import re

__all__ = ["MAX_SCANNED", "looks_private", "may_hold_text", "secret_in"]

MAX_SCANNED = 1024 * 1024
"""Bytes up to which a file is read for secrets: nobody hides a token in a larger one by mistake."""

_NAMES = frozenset(
    {
        *(".env", ".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "credentials", "credentials.json", "secrets.json"),
    }
)
_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".keystore", ".jks", ".kdbx", ".ppk")
# The singular only: `added_tokens.json`, `special_tokens_map.json` and `tokens.txt` belong to tokenizers.
_WORDS = frozenset({"token", "secret", "secrets", "password", "passwords", "apikey"})
_WORD_BREAK = re.compile(r"[^a-z0-9]+")

_HUB_TOKEN = re.compile(r"\bhf_(?:(?:oauth|jwt|app)_)*[A-Za-z0-9]{30,}\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")

_WEIGHTS = (".safetensors", ".gguf", ".bin", ".npz", ".pt", ".pth")


def looks_private(path: str) -> bool:
    """Whether a file's name is one that secrets go by (`.env`, `server.pem`, `id_rsa`, `my_token.txt`)."""
    name = path.rpartition("/")[2].lower()
    if name in _NAMES or name.startswith(".env.") or name.endswith(_SUFFIXES):
        return True
    return not _WORDS.isdisjoint(_WORD_BREAK.split(name))


def may_hold_text(path: str, size: int) -> bool:
    """Whether a file is worth reading for secrets: small, and no weights."""
    return 0 < size <= MAX_SCANNED and not path.endswith(_WEIGHTS)


def secret_in(text: str) -> str | None:
    """What secret a text holds, in words that do not repeat it, or None."""
    if _HUB_TOKEN.search(text):
        return "a Hub token"
    if _PRIVATE_KEY.search(text):
        return "a private key"
    return None
