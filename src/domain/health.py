"""Are these files whole? A pure policy over facts; whether they can run is `compatibility`'s question."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlxk.domain.capabilities import describe, has_vision_parts
from mlxk.domain.files import is_documentation, is_partial_download, is_vocabulary
from mlxk.domain.findings import Code, Finding, Remedy, Severity
from mlxk.domain.model import (
    ABSENT,
    WHOLE_MODEL,
    Absence,
    Capability,
    FileFact,
    HeaderProblem,
    Invalid,
    LinkState,
    SafetensorsHeader,
    SnapshotFacts,
)
from mlxk.domain.verification import FileVerdict, Outcome
from mlxk.domain.weights import is_sharded, weight_files, weight_set_findings

__all__ = ["HealthReport", "assess", "assess_verified", "is_incomplete"]

HEALTHY = "Model is healthy"
HEALTHY_SHARDED = "Multi-file model complete"
MAX_FILES_IN_REASON = 5


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All findings, most telling first, and whether the weights come in several files."""

    findings: tuple[Finding, ...]
    sharded: bool = False

    @property
    def healthy(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the model unhealthy."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def reason(self) -> str:
        """One line for people and scripts: the first error and the files it concerns, or that all is well."""
        if self.healthy:
            return HEALTHY_SHARDED if self.sharded else HEALTHY
        first = self.errors[0]
        return _summary(first.code, [finding for finding in self.errors if finding.code is first.code])


# The texts on the left of the colon are known to scripts since MLX-Knife 2.x.
_GROUPED = {
    Code.SHARD_MISSING: "Missing weight shards",
    Code.SHARD_EMPTY: "Empty weight shards",
    Code.LFS_POINTER: "LFS pointers instead of files",
}
_FIXED = {Code.CONFIG_INVALID: "config.json contains invalid JSON"}


def _summary(code: Code, findings: Sequence[Finding]) -> str:
    if code in _FIXED:
        return _FIXED[code]
    if code in _GROUPED:
        return f"{_GROUPED[code]}: {_listed([finding.file for finding in findings])}"
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return findings[0].message + more


def _listed(files: Sequence[str]) -> str:
    shown = ", ".join(files[:MAX_FILES_IN_REASON])
    rest = len(files) - MAX_FILES_IN_REASON
    return f"{shown} … ({rest} more)" if rest > 0 else shown


def assess(facts: SnapshotFacts) -> HealthReport:
    """Say whether a model's files are whole, without reading their content. Never raises for bad data."""
    return _report(facts, _quick_findings(facts))


def assess_verified(facts: SnapshotFacts, verdicts: Iterable[FileVerdict]) -> HealthReport:
    """Say whether they are whole, with the results of hashing every file against its digest."""
    quick = _quick_findings(facts)
    known = {(finding.code, finding.file) for finding in quick}
    hashed = _verdict_findings(verdicts)
    return _report(facts, [*quick, *(found for found in hashed if (found.code, found.file) not in known)])


_MISSING_FILES = frozenset(
    {
        Code.UNREADABLE,
        Code.CONFIG_MISSING,
        Code.NO_WEIGHTS,
        Code.SHARD_MISSING,
        Code.SHARD_EMPTY,
        Code.SAFETENSORS_TRUNCATED,
        Code.PARTIAL_DOWNLOAD,
        Code.BROKEN_LINK,
        Code.TOKENIZER_MISSING,
        Code.PROCESSOR_MISSING,
    }
)


def is_incomplete(report: HealthReport) -> bool:
    """Whether files, or ends of files, are missing, as after a download that stopped."""
    return any(finding.code in _MISSING_FILES for finding in report.errors)


def _report(facts: SnapshotFacts, findings: Iterable[Finding]) -> HealthReport:
    ordered = sorted(findings, key=lambda finding: (finding.code.precedence, finding.file))
    return HealthReport(tuple(ordered), sharded=is_sharded(facts))


def _quick_findings(facts: SnapshotFacts) -> list[Finding]:
    if (closed := _closed_model_finding(facts)) is not None:
        return [closed]
    sees = _sees(facts)
    return [
        *_unreadable_findings(facts),
        *_config_findings(facts),
        *weight_set_findings(facts),
        *_content_findings(facts),
        *_link_findings(facts),
        *_tokenizer_findings(facts, sees=sees),
        *_processor_findings(facts, sees=sees),
    ]


_RESTORES = {Absence.SNAPSHOT: Remedy.PULL, Absence.LINK_TARGET: Remedy.RESTORE_LINK_TARGET}
_NO_REASON = "the system gives no reason"


def _closed_model_finding(facts: SnapshotFacts) -> Finding | None:
    """What is wrong when nothing was looked at: then nobody knows which files are missing."""
    reason = dict(facts.unreadable).get(WHOLE_MODEL)
    if reason is None or not all(is_partial_download(file.path) for file in facts.files):
        return None
    remedy = _RESTORES[facts.absence] if facts.absence else Remedy.FIX_PERMISSIONS
    return Finding(Code.UNREADABLE, WHOLE_MODEL, reason or _NO_REASON, remedy)


def _unreadable_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    for path, reason in dict(facts.unreadable).items():  # a file may have been tried twice
        why = reason or _NO_REASON
        message = why if path == WHOLE_MODEL else f"{path} cannot be read: {why}"
        yield Finding(Code.UNREADABLE, path, message, Remedy.FIX_PERMISSIONS, _severity(path))


def _severity(path: str) -> Severity:
    """No runtime misses a file that is for people, so the lack of one does not make a model unhealthy."""
    return Severity.WARNING if is_documentation(path) else Severity.ERROR


def _config_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    config = facts.document("config.json")
    if isinstance(config, Invalid):
        yield Finding(
            Code.CONFIG_INVALID,
            "config.json",
            f"config.json is invalid: {config.reason}",
            Remedy.FIX_FILE,
        )
    elif config is ABSENT and not facts.has("config.json") and not _is_gguf_only(facts):
        yield Finding(Code.CONFIG_MISSING, "config.json", "config.json missing", Remedy.FETCH_AGAIN)
    elif config is not ABSENT and not config:
        yield Finding(
            Code.CONFIG_INVALID,
            "config.json",
            "config.json is invalid: it is empty",
            Remedy.FIX_FILE,
        )


def _is_gguf_only(facts: SnapshotFacts) -> bool:
    """GGUF files carry their own configuration and tokenizer, so such a repository needs neither beside."""
    weights = weight_files(facts)
    return bool(weights) and all(file.path.endswith(".gguf") for file in weights)


# Content, as far as sizes, first bytes and headers tell


def _content_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    weights = {file.path for file in weight_files(facts)}
    unread = {path for path, _ in facts.unreadable}
    for file in facts.files:
        if not file.readable or file.path in unread:
            continue
        if is_partial_download(file.path):
            yield Finding(
                Code.PARTIAL_DOWNLOAD, file.path, f"Partial download: {file.path}", Remedy.FETCH_AGAIN
            )
        elif file.lfs_pointer:
            yield Finding(
                Code.LFS_POINTER,
                file.path,
                f"{file.path} is an LFS pointer, not the file",
                Remedy.FETCH_AGAIN,
                _severity(file.path),
            )
        elif file.size == 0 and (file.path in weights or file.path.endswith(".safetensors")):
            yield Finding(Code.SHARD_EMPTY, file.path, f"{file.path} is empty", Remedy.FETCH_AGAIN)
        else:
            yield from _header_findings(file)


def _header_findings(file: FileFact) -> Iterator[Finding]:
    """A safetensors file must end exactly where its header says the last tensor ends."""
    match file.header:
        case HeaderProblem(reason):
            yield Finding(
                Code.SAFETENSORS_HEADER_INVALID,
                file.path,
                f"{file.path} has no valid safetensors header: {reason}",
                Remedy.FETCH_AGAIN,
            )
        case SafetensorsHeader(data_end=end) if end > file.size:
            yield Finding(
                Code.SAFETENSORS_TRUNCATED,
                file.path,
                f"{file.path} is cut short: {end - file.size} bytes missing",
                Remedy.FETCH_AGAIN,
            )
        case SafetensorsHeader(data_end=end) if end < file.size:
            yield Finding(
                Code.SAFETENSORS_OVERSIZED,
                file.path,
                f"{file.path} is too long: {file.size - end} bytes after its last tensor",
                Remedy.FETCH_AGAIN,
            )


def _link_findings(facts: SnapshotFacts) -> Iterator[Finding]:
    for file in facts.files:
        if file.link is LinkState.BROKEN:
            yield Finding(
                Code.BROKEN_LINK,
                file.path,
                f"{file.path} is a link that leads nowhere",
                Remedy.FETCH_AGAIN,
                _severity(file.path),
            )
        elif file.link is LinkState.ESCAPES:
            yield Finding(
                Code.PATH_ESCAPES_SNAPSHOT,
                file.path,
                f"{file.path} is a link that leads outside the model",
                Remedy.REPLACE_LINK,
            )


def _verdict_findings(verdicts: Iterable[FileVerdict]) -> Iterator[Finding]:
    for verdict in verdicts:
        match verdict.outcome:
            case Outcome.DIFFERS:
                yield Finding(
                    Code.DIGEST_MISMATCH,
                    verdict.path,
                    f"{verdict.path} is damaged: its content does not have the digest it should",
                    Remedy.FETCH_AGAIN,
                )
            case Outcome.UNREADABLE:
                yield Finding(
                    Code.UNREADABLE,
                    verdict.path,
                    f"{verdict.path} cannot be read: {verdict.problem}",
                    Remedy.FIX_PERMISSIONS,
                    _severity(verdict.path),
                )


# Tokenizer and processor

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def _tokenizer_findings(facts: SnapshotFacts, *, sees: bool) -> Iterator[Finding]:
    document = facts.document("tokenizer_config.json")
    if isinstance(document, Invalid):
        yield Finding(
            Code.TOKENIZER_CONFIG_INVALID,
            "tokenizer_config.json",
            f"tokenizer_config.json is invalid: {document.reason}",
            Remedy.FIX_FILE,
        )
    vocabulary = facts.document("tokenizer.json")
    if isinstance(vocabulary, Invalid):
        yield Finding(
            Code.TOKENIZER_CONFIG_INVALID,
            "tokenizer.json",
            f"tokenizer.json is invalid: {vocabulary.reason}",
            Remedy.FETCH_AGAIN,
        )
    if not any(map(_holds_vocabulary, facts.files)) and (sees or _promises_tokenizer(facts)):
        yield Finding(
            Code.TOKENIZER_MISSING,
            "tokenizer.json",
            "Tokenizer missing: neither tokenizer.json nor tokenizer.model nor vocabulary files are there",
            Remedy.FETCH_AGAIN,
        )


def _holds_vocabulary(file: FileFact) -> bool:
    """A link that leads nowhere is a finding of its own; an empty file is no tokenizer."""
    return is_vocabulary(file.path) and (file.size > 0 or not file.readable)


def _promises_tokenizer(facts: SnapshotFacts) -> bool:
    return facts.has("tokenizer_config.json") and not _is_gguf_only(facts)


def _sees(facts: SnapshotFacts) -> bool:
    if not has_vision_parts(facts) or _is_gguf_only(facts):
        return False
    return Capability.VISION in describe(facts).capabilities


def _processor_findings(facts: SnapshotFacts, *, sees: bool) -> Iterator[Finding]:
    for path in _PROCESSORS:
        document = facts.document(path)
        if isinstance(document, Invalid):
            yield Finding(
                Code.PROCESSOR_INVALID, path, f"{path} is invalid: {document.reason}", Remedy.FIX_FILE
            )
    if not any(facts.has(path) for path in _PROCESSORS) and sees:
        yield Finding(
            Code.PROCESSOR_MISSING,
            _PROCESSORS[0],
            "Image processor missing: neither preprocessor_config.json nor processor_config.json is there",
            Remedy.FETCH_AGAIN,
        )
