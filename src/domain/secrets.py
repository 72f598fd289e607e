"""Files that look as if they should not be published: by name, and small ones by what they hold."""

import re
from dataclasses import dataclass

__all__ = ["MAX_SCANNED", "Secret", "Suspicion", "looks_private", "may_hold_text", "secret_in", "suspicion"]

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

_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
# The prefixes that their issuers chose so that programs find them; the group is the random part.
_KEYS = (
    ("a Hub token", re.compile(r"\bhf_(?:(?:oauth|jwt|app)_)*([A-Za-z0-9]{30,})\b")),
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9+/])AKIA([A-Z0-9]{16})(?![A-Za-z0-9+/])")),
    ("a GitHub token", re.compile(r"\bghp_([A-Za-z0-9]{36,})\b")),
    ("a GitHub token", re.compile(r"\bgithub_pat_([A-Za-z0-9_]{60,})\b")),
    ("an API key", re.compile(r"(?<![\w-])sk-(?=[\w-]*[0-9])(?=[\w-]*[A-Z])([A-Za-z0-9_-]{32,})(?![\w-])")),
    ("a Slack token", re.compile(r"(?<![\w-])xox[abeoprs]-(?=[A-Za-z-]*[0-9])([A-Za-z0-9-]{20,})(?![\w-])")),
    ("a Google API key", re.compile(r"(?<![\w+/=-])AIza([A-Za-z0-9_-]{35})(?![\w+/=-])")),
)
_RANDOM = 8
"""Different characters that a key has at least; fewer are a placeholder (`hf_xxxx…`)."""

_WEIGHTS = (".safetensors", ".gguf", ".bin", ".npz", ".pt", ".pth")


@dataclass(frozen=True, slots=True)
class Secret:
    """What a text holds, in words that do not repeat it.

    Attributes:
        certain: it is a real one, as far as its form says, and no placeholder.
    """

    what: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A file that others should perhaps not have.

    Attributes:
        what: the secret in it, in words that do not repeat it; None where only its name is suspicious.
        certain: see `Secret`.
    """

    path: str
    what: str | None
    certain: bool

    @property
    def warning(self) -> str:
        """One line for people."""
        why = f"holds what looks like {self.what}" if self.what else "looks like a secret by its name"
        return f"'{self.path}' {why}; list it in .hfignore if others should not have it."


def looks_private(path: str) -> bool:
    """Whether a file's name is one that secrets go by (`.env`, `server.pem`, `id_rsa`, `my_token.txt`)."""
    name = path.rpartition("/")[2].lower()
    if name in _NAMES or name.startswith(".env.") or name.endswith(_SUFFIXES):
        return True
    return not _WORDS.isdisjoint(_WORD_BREAK.split(name))


def may_hold_text(path: str, size: int) -> bool:
    """Whether a file is worth reading for secrets: small, and no weights."""
    return 0 < size <= MAX_SCANNED and not path.endswith(_WEIGHTS)


def secret_in(text: str) -> Secret | None:
    """What secret a text holds, if any; one that is certain before one that may be a placeholder."""
    if _PRIVATE_KEY.search(text):
        return Secret("a private key", certain=True)
    found = None
    for what, pattern in _KEYS:
        for match in pattern.finditer(text):
            if len(set(match[1])) >= _RANDOM and "EXAMPLE" not in match[1]:
                return Secret(what, certain=True)
            found = found or Secret(what, certain=False)
    return found


def suspicion(path: str, text: str) -> Suspicion | None:
    """Why a file should perhaps not be published, by what it holds (empty if not read) or by its name."""
    if found := secret_in(text):
        return Suspicion(path, found.what, found.certain)
    return Suspicion(path, None, certain=False) if looks_private(path) else None
