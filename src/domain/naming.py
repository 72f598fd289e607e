"""Names: repository ids, their cache directories, and what a person may type for a model.

Hub rules for ids follow `huggingface_hub.utils.validate_repo_id`; the directory form follows the
Hugging Face cache layout (`models--org--name`).
"""

import re
from dataclasses import dataclass

from mlxk.domain.errors import InvalidInput

__all__ = [
    "DEFAULT_ORG",
    "MAX_ID_LENGTH",
    "MIN_COMMIT_PREFIX",
    "ModelSpec",
    "NameSpec",
    "PathSpec",
    "RepoId",
    "directory_of",
    "is_cache_directory",
    "is_commit_prefix",
    "name_of",
    "parse_spec",
]

DEFAULT_ORG = "mlx-community"
MAX_ID_LENGTH = 96
MIN_COMMIT_PREFIX = 3

_DIRECTORY_PREFIX = "models--"
_SEPARATOR = "--"
_ALLOWED = re.compile(r"[A-Za-z0-9._-]+")
_COMMIT_PREFIX = re.compile(r"[0-9a-f]{3,40}")


@dataclass(frozen=True, slots=True, order=True)
class RepoId:
    """A valid Hub repository id, `name` or `org/name`.

    Constructing one checks the Hub's rules, so that what is written (pull, push) is always legal;
    reading an existing cache is tolerant and uses `name_of` instead.

    Raises:
        InvalidInput: the text breaks a rule; the message names the rule.
    """

    value: str

    def __post_init__(self) -> None:
        problem = _id_problem(self.value)
        if problem:
            raise InvalidInput(f"'{_shortened(self.value)}' is not a valid model id: {problem}.")

    def __str__(self) -> str:
        return self.value

    @property
    def directory(self) -> str:
        """The cache directory name, `models--org--name`. On valid ids this is a bijection."""
        return directory_of(self.value)


def _shortened(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}…"


def _id_problem(value: str) -> str | None:
    if not value:
        return "it is empty"
    if len(value) > MAX_ID_LENGTH:
        return f"it is too long, {len(value)}/{MAX_ID_LENGTH} characters"
    parts = value.split("/")
    if len(parts) > 2:
        return "at most one '/' is allowed"
    if any(not part for part in parts):
        return "an organisation or name is empty"
    if not all(_ALLOWED.fullmatch(part) for part in parts):
        return "only letters, digits, '.', '_' and '-' are allowed"
    if "--" in value or ".." in value:
        return "'--' and '..' are not allowed"
    if any(part[0] in "-." or part[-1] in "-." for part in parts):
        return "'-' and '.' are not allowed at an end"
    if value.endswith(".git"):
        return "it must not end in '.git'"
    return None


def directory_of(name: str) -> str:
    """The mechanical cache directory of a name: every `/` becomes `--`."""
    return _DIRECTORY_PREFIX + name.replace("/", _SEPARATOR)


def is_cache_directory(directory: str) -> bool:
    """Whether a directory name is that of a cached model (`models--` and something after it)."""
    return directory.startswith(_DIRECTORY_PREFIX) and len(directory) > len(_DIRECTORY_PREFIX)


def name_of(directory: str) -> str:
    """The name of a cache directory; the inverse of `directory_of` on valid ids.

    Tolerant: a directory that breaks the Hub's rules still gets its mechanical name.

    Raises:
        ValueError: the directory is not one of a cached model.
    """
    if not is_cache_directory(directory):
        raise ValueError(f"not a model cache directory: {directory!r}")
    return directory.removeprefix(_DIRECTORY_PREFIX).replace(_SEPARATOR, "/")


@dataclass(frozen=True, slots=True)
class PathSpec:
    """An explicit path to a workspace, as typed (`./x`, `../x`, `/x`, `~/x`, `~user/x`, `.`, `..`, `~`)."""

    path: str


@dataclass(frozen=True, slots=True)
class NameSpec:
    """A model name, possibly partial, with an optional revision (branch, tag or commit prefix)."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


ModelSpec = PathSpec | NameSpec


def parse_spec(text: str) -> ModelSpec:
    """Read what a person typed for a model: a path, or `name[@revision]`.

    Raises:
        InvalidInput: the text is empty, too long, or its revision is empty.
    """
    if not text.strip():
        raise InvalidInput("The model name is empty.", hint="run `mlxk list` to see the models you have")
    if text in (".", "..") or text.startswith(("./", "../", "/", "~")):
        return PathSpec(text)
    name, at, revision = text.partition("@")
    if at and not revision:
        raise InvalidInput(
            f"'{_shortened(text)}' names no revision after '@'.", hint="use NAME@BRANCH or NAME@COMMIT"
        )
    if not name:
        raise InvalidInput(f"'{_shortened(text)}' names no model before '@'.", hint="use NAME@REVISION")
    if "\0" in text:
        raise InvalidInput("A model name cannot contain a NUL character.")
    if len(name) > MAX_ID_LENGTH:
        raise InvalidInput(
            f"The model name is too long: {len(name)}/{MAX_ID_LENGTH} characters.",
            hint="give a Hub id such as mlx-community/NAME, or a path that starts with './' or '/'",
        )
    return NameSpec(name, revision or None)


def is_commit_prefix(revision: str) -> bool:
    """Whether a revision may be the beginning of a commit hash (3 to 40 lower-case hex digits)."""
    return _COMMIT_PREFIX.fullmatch(revision) is not None
