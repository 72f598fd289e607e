"""Every row of the clone's state table, against rules from the specification and a model of the disk.

`World` carries out steps on a disk of a few words, in the small operations that a process can be killed
between. A plan is right when every step finds what it needs, and the target is complete in the end.
"""

import itertools
import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.clone_plan import (
    Cached,
    CloneObservation,
    ClonePlan,
    CloneRequest,
    CommitSource,
    Outcome,
    Refused,
    Space,
    TargetState,
    Unanswered,
    clean_up,
    plan_clone,
    plan_lines,
    target_path,
)
from mlxk.domain.clone_steps import (
    Assess,
    CopyMethod,
    CopyTree,
    CreateStaging,
    DiscardCopy,
    DiscardStaging,
    Download,
    MarkComplete,
    Publish,
    RemoveStaging,
    Step,
    WriteManifest,
)
from mlxk.domain.errors import ErrorKind, InvalidInput
from mlxk.domain.staging import Sentinel, StagingState, staging_path, staging_state

REPO, COMMIT, TARGET = "org/name", "c" * 40, "/home/me/name"
STAGING = staging_path(REPO, TARGET)
SNAPSHOT = f"/cache/models--org--name/snapshots/{COMMIT}"
DOWNLOADED = f"{STAGING}/hub/models--org--name/snapshots/{COMMIT}"
COPY = f"{STAGING}/workspace"

FREE = {TargetState.ABSENT, TargetState.EMPTY}
ENOUGH, TIGHT, SHARED, UNKNOWN = (
    Space(download=100, tree=100, free=1000, shared=False),
    Space(download=100, tree=100, free=150, shared=False),
    Space(download=100, tree=100, free=99, shared=True),
    Space(free=0),
)

UNANSWERED = Unanswered("The Hub is out of order.", "try again later", Cached.NOTHING)


@dataclass
class Staging:
    """A staging directory: its sentinel (None: not there yet), a download, and a copy."""

    sentinel: bool = False
    complete: bool = False
    publishing: bool = False
    download: str = "none"
    healthy: bool = True
    copy: str = "none"

    @property
    def empty(self) -> bool:
        return self.download == self.copy == "none"


@dataclass
class World:
    """What is on the disk; `operations` carries out a step in parts, between which one can be killed."""

    cached: bool = False
    target: str = "absent"
    staging: Staging | None = None
    foreign: bool = False
    log: list[Step] = field(default_factory=list)

    def observe(self) -> CloneObservation:
        target = TargetState.NOT_EMPTY if self.target == "workspace" else TargetState(self.target)
        return CloneObservation(
            target, self.state(), STAGING, COMMIT, CommitSource.HUB, SNAPSHOT if self.cached else None
        )

    def state(self) -> StagingState:
        staging = self.staging
        if self.foreign:
            return StagingState.FOREIGN
        if staging is None or (not staging.sentinel and staging.empty):
            return StagingState.NONE
        assert staging.sentinel, "content without sentinel would never be removed"
        assert staging.download == "complete" or not staging.complete or staging.publishing
        sentinel = Sentinel(REPO, TARGET, COMMIT if staging.complete else None, staging.publishing)
        return staging_state(
            sentinel,
            commit=COMMIT,
            download_healthy=staging.healthy,
            copy_there=staging.copy != "none",
        )

    def operations(self, step: Step) -> Iterator[None]:
        self.log.append(step)
        match step:
            case CreateStaging(path):
                assert path == STAGING
                assert self.state() is StagingState.NONE
                self.staging = Staging()
                yield
                self.staging.sentinel = True
            case DiscardStaging(path) | RemoveStaging(path):
                assert path == STAGING
                yield from self._removal(published=isinstance(step, RemoveStaging))
            case DiscardCopy(path):
                assert path == STAGING
                assert self._ours.sentinel
                self._ours.copy = "none"
                self._ours.publishing = False
            case Download(repo, commit, into):
                assert (repo, commit, into) == (REPO, COMMIT, f"{STAGING}/hub")
                assert self._ours.sentinel
                self._ours.complete = False
                self._ours.download = "partial"
                yield
                self._ours.download = "complete"
            case MarkComplete(path, commit):
                assert (path, commit) == (STAGING, COMMIT)
                assert self._ours.download == "complete"
                self._ours.complete = True
            case CopyTree(source, target):
                assert target == COPY
                assert self._ours.copy == "none"
                assert source == (SNAPSHOT if self.cached else DOWNLOADED)
                assert self.cached or self._ours.complete
                self._ours.copy = "partial"
                yield
                self._ours.copy = "copied"
            case Assess(path):
                assert path == COPY
                assert self._ours.copy == "copied"
            case WriteManifest(path, repo, commit):
                assert (path, repo, commit) == (COPY, REPO, COMMIT)
                assert self._ours.copy == "copied"
                self._ours.copy = "whole"
            case Publish(copy, target):
                assert (copy, target) == (COPY, TARGET)
                assert self._ours.copy == "whole"
                self._ours.publishing = True
                yield
                assert self.target in ("absent", "an empty directory")
                self._ours.copy, self.target = "none", "workspace"
            case _:
                raise AssertionError(step)
        yield

    @property
    def _ours(self) -> Staging:
        assert self.staging is not None
        assert not self.foreign
        return self.staging

    def _removal(self, *, published: bool) -> Iterator[None]:
        staging = self._ours
        assert staging.sentinel
        if not published:
            staging.complete = staging.publishing = False
            yield
        staging.copy = "none"
        yield
        staging.complete = False
        staging.download = "partial" if staging.download != "none" else "none"
        yield
        staging.download = "none"
        yield
        staging.sentinel = staging.publishing = False
        yield
        self.staging = None

    def run(self, plan: ClonePlan, *, killed_after: int = 10**9) -> bool:
        """Carry a plan out; whether it was not killed before its end."""
        moments = (moment for step in plan.steps for moment in self.operations(step))
        return sum(1 for _ in itertools.islice(moments, killed_after)) < killed_after


def worlds() -> Iterator[World]:
    """Every state of the disk that a clone may find and has to cope with."""
    stagings: list[Staging | None] = [
        None,
        Staging(),
        Staging(sentinel=True),
        Staging(sentinel=True, download="partial"),
        Staging(sentinel=True, download="partial", copy="partial"),
        Staging(sentinel=True, download="complete"),
        *(
            Staging(True, True, publishing, "complete", healthy, copy)
            for healthy in (True, False)
            for copy in ("none", "partial", "copied", "whole")
            for publishing in ({False, copy == "whole"})
        ),
        Staging(sentinel=True, publishing=True),
        Staging(sentinel=True, publishing=True, download="partial"),
    ]
    for cached, target, staging in itertools.product(
        (True, False), ("absent", "an empty directory"), stagings
    ):
        yield World(cached, target, staging and replace(staging))


def requests() -> Iterator[CloneRequest]:
    for health_check, force in itertools.product((True, False), repeat=2):
        yield CloneRequest(REPO, TARGET, health_check, force)


ALL = [
    (request, CloneObservation(target, staging, STAGING, commit, source, snapshot, space, UNANSWERED))
    for request, target, staging, commit, source, snapshot, space in itertools.product(
        requests(),
        TargetState,
        StagingState,
        (COMMIT, None),
        CommitSource,
        (SNAPSHOT, None),
        (ENOUGH, TIGHT, SHARED, UNKNOWN),
    )
    if commit or not snapshot
]


# The state table, row by row


def expected_refusal(seen: CloneObservation) -> ErrorKind | None:
    """The specification's rules for what is not done."""
    if seen.staging is StagingState.PUBLISHED and seen.target is TargetState.NOT_EMPTY:
        return None
    if seen.target not in FREE:
        return ErrorKind.INVALID_TARGET
    if seen.staging in (StagingState.BUSY, StagingState.FOREIGN):
        return ErrorKind.CLONE_FAILED
    if seen.commit is None:
        return ErrorKind.PULL_FAILED
    fetches = seen.snapshot is None and seen.staging is not StagingState.HEALTHY
    needed = {ENOUGH: 200, TIGHT: 200, SHARED: 100, UNKNOWN: 0}[seen.space] - (0 if fetches else 100)
    free = seen.space.free
    return ErrorKind.INSUFFICIENT_DISK if free is not None and needed > max(free, 0) else None


def test_every_row_is_refused_or_planned_as_the_rules_say() -> None:
    for request, seen in ALL:
        plan = plan_clone(request, seen)
        kind = plan.kind if isinstance(plan, Refused) else None
        assert kind is expected_refusal(seen), (request, seen)


def planned() -> Iterator[tuple[CloneRequest, CloneObservation, ClonePlan]]:
    for request, seen in ALL:
        plan = plan_clone(request, seen)
        if isinstance(plan, ClonePlan):
            yield request, seen, plan


def kinds(plan: ClonePlan) -> list[type[Step]]:
    return [type(step) for step in plan.steps]


def test_refusals_name_target_or_staging_and_a_way_out() -> None:
    for request, seen in ALL:
        refused = plan_clone(request, seen)
        if isinstance(refused, Refused):
            error = refused.error()
            assert error.hint
            assert error.message.endswith(".")
            if not seen.target.free:
                assert seen.target.value in error.message


def test_what_was_finished_but_for_the_sweeping_is_only_swept() -> None:
    for _, seen, plan in planned():
        if seen.target is TargetState.NOT_EMPTY:
            assert plan.steps == (RemoveStaging(STAGING),)


def test_the_cache_or_a_healthy_download_saves_the_network() -> None:
    for _, seen, plan in planned():
        if seen.target in FREE:
            fetches = seen.snapshot is None and seen.staging is not StagingState.HEALTHY
            assert (Download in kinds(plan)) is fetches
            assert (MarkComplete in kinds(plan)) is fetches


def test_what_is_there_is_discarded_only_for_a_reason() -> None:
    for request, seen, plan in planned():
        if seen.target not in FREE or seen.staging is StagingState.NONE:
            assert DiscardStaging not in kinds(plan)
            continue
        useless = (
            seen.snapshot is not None
            or seen.staging is StagingState.PUBLISHED
            or (seen.staging is StagingState.UNHEALTHY and not request.force_resume)
        )
        assert (DiscardStaging in kinds(plan)) is useless
        assert (DiscardCopy in kinds(plan)) is not useless


def test_a_download_resumes_what_is_there() -> None:
    for request, seen, plan in planned():
        for step in plan.steps:
            if isinstance(step, Download):
                kept = seen.staging is StagingState.PARTIAL or (
                    seen.staging is StagingState.UNHEALTHY and request.force_resume
                )
                assert step.resumes is kept


def test_the_order_is_always_the_same() -> None:
    order: list[type[Step]] = [
        DiscardStaging,
        CreateStaging,
        DiscardCopy,
        Download,
        MarkComplete,
        CopyTree,
        Assess,
        WriteManifest,
        Publish,
        RemoveStaging,
    ]
    for request, seen, plan in planned():
        positions = [order.index(kind) for kind in kinds(plan)]
        assert positions == sorted(set(positions))
        if seen.target in FREE:
            assert {CopyTree, WriteManifest, Publish, RemoveStaging} <= set(kinds(plan))
            assert (Assess in kinds(plan)) is request.health_check


def test_nothing_but_the_staging_directory_and_the_target_is_written() -> None:
    for _, _, plan in planned():
        assert plan.staging_path == STAGING
        for step in plan.steps:
            match step:
                case CopyTree(source, target):
                    assert source in (SNAPSHOT, DOWNLOADED)
                    assert target.startswith(STAGING)
                case Download():
                    assert step.into.startswith(STAGING)
                case Publish(copy, target):
                    assert copy.startswith(STAGING)
                    assert target == TARGET
                case Assess(path) | WriteManifest(path):
                    assert path.startswith(STAGING)
                case _:
                    assert step.path == STAGING


def test_a_commit_that_the_hub_did_not_name_is_noted() -> None:
    for _, seen, plan in planned():
        if seen.target in FREE:
            assert (plan.note is not None) is (
                seen.commit_source in (CommitSource.CACHE, CommitSource.STAGING)
            )


@pytest.mark.parametrize(
    ("cached", "says"),
    [
        (Cached.NOTHING, "org/name is not in the cache."),
        (Cached.OTHER_REVISIONS, "org/name is in the cache, but not at this revision."),
        (Cached.DAMAGED, "org/name is in the cache, but incomplete or damaged."),
    ],
)
def test_without_a_commit_the_refusal_says_why_the_hub_and_the_cache_do_not_help(
    cached: Cached, says: str
) -> None:
    unanswered = replace(UNANSWERED, cached=cached)
    seen = CloneObservation(
        TargetState.ABSENT, StagingState.NONE, STAGING, None, CommitSource.CACHE, unanswered=unanswered
    )
    refused = plan_clone(CloneRequest(REPO, TARGET), seen)
    assert isinstance(refused, Refused)
    assert (refused.message, refused.hint) == (f"The Hub is out of order. {says}", "try again later")
    unadvised = replace(unanswered, hint=None).refusal(REPO)
    assert unadvised.hint == "try again when the Hub answers"


def test_lines_are_numbered_and_say_what_happens() -> None:
    for _, _, plan in planned():
        lines = plan_lines(plan)
        numbered = lines[1:] if plan.note else lines
        assert [line.partition(". ")[0] for line in numbered] == [str(n + 1) for n in range(len(plan.steps))]
    fresh = CloneObservation(TargetState.ABSENT, StagingState.NONE, STAGING, COMMIT, CommitSource.CACHE)
    first = plan_clone(CloneRequest(REPO, TARGET), fresh)
    assert isinstance(first, ClonePlan)
    assert plan_lines(first) == [
        "The commit is that of the cache, since the Hub could not be reached.",
        f"1. create {STAGING}",
        "2. download org/name at cccccccccccc",
        "3. note that the download is complete",
        f"4. copy {DOWNLOADED}, copy-on-write where the disk allows it",
        "5. check the health of the copy",
        "6. write the manifest",
        f"7. move the copy to {TARGET}",
        f"8. remove {STAGING}",
    ]


# Carried out


def test_every_plan_ends_in_a_complete_workspace_and_no_litter() -> None:
    for request, world in itertools.product(requests(), worlds()):
        plan = plan_clone(request, world.observe())
        assert isinstance(plan, ClonePlan)
        world = replace(world, staging=world.staging and replace(world.staging), log=[])
        assert world.run(plan)
        assert (world.target, world.staging) == ("workspace", None)


def test_killed_at_any_moment_the_same_command_finishes() -> None:
    for request, start in itertools.product(requests(), worlds()):
        for moment in itertools.count():
            world = replace(start, staging=start.staging and replace(start.staging), log=[])
            first = plan_clone(request, world.observe())
            assert isinstance(first, ClonePlan)
            if world.run(first, killed_after=moment):
                break
            assert world.target != "partial"
            again = plan_clone(request, world.observe())
            if world.target == "workspace" and world.state() is StagingState.NONE:
                assert isinstance(again, Refused)  # all was done but to remove an empty directory
                continue
            assert isinstance(again, ClonePlan), (first, moment)
            assert world.run(again)
            assert (world.target, world.staging) == ("workspace", None)


def test_killed_twice_it_still_finishes() -> None:
    for start in worlds():
        for first, second in itertools.product(range(0, 24, 3), range(24)):
            world = replace(start, staging=start.staging and replace(start.staging), log=[])
            for moment in (first, second, 10**9):
                plan = plan_clone(CloneRequest(REPO, TARGET), world.observe())
                if isinstance(plan, ClonePlan):
                    world.run(plan, killed_after=moment)
            assert world.target == "workspace"
            assert world.state() is StagingState.NONE


# How it ends


@pytest.mark.parametrize("outcome", Outcome)
def test_the_cleanup_matrix(outcome: Outcome) -> None:
    for _, seen, plan in planned():
        cleanup = clean_up(plan, outcome)
        from_cache = seen.snapshot is not None
        swept_only = seen.target is TargetState.NOT_EMPTY
        match outcome:
            case Outcome.SUCCEEDED | Outcome.DOWNLOAD_REFUSED | Outcome.TARGET_TAKEN:
                kept = False
            case Outcome.INTERRUPTED | Outcome.DOWNLOAD_BROKE_OFF | Outcome.FAILED_LATER:
                kept = not from_cache and not swept_only
        assert cleanup.remove is not kept
        assert (cleanup.advice is not None) is kept
        if cleanup.advice:
            assert STAGING in cleanup.advice


def test_commands_in_what_is_said_mean_one_path() -> None:
    plan = ClonePlan((), "/My Models/it's/.staging", keeps_download=True)
    advice = clean_up(plan, Outcome.INTERRUPTED).advice or ""
    assert shlex.split(advice.split("`")[1]) == ["rm", "-r", plan.staging_path]


def test_after_a_failure_the_retry_uses_what_was_kept() -> None:
    for request, start in itertools.product(requests(), worlds()):
        first = plan_clone(request, start.observe())
        assert isinstance(first, ClonePlan)
        for position, step in enumerate(first.steps):
            world = replace(start, staging=start.staging and replace(start.staging), log=[])
            world.run(replace(first, steps=first.steps[:position]))
            outcome = Outcome.DOWNLOAD_BROKE_OFF if isinstance(step, Download) else Outcome.FAILED_LATER
            if clean_up(first, outcome).remove or world.target == "workspace" or world.staging is None:
                continue
            complete = world.staging.complete and world.staging.healthy
            again = plan_clone(request, world.observe())
            assert isinstance(again, ClonePlan)
            if complete:
                assert Download not in kinds(again)


def test_a_download_of_another_commit_is_one_to_go_on_from() -> None:
    sentinel = Sentinel(REPO, TARGET, complete="d" * 40)
    for commit in (COMMIT, None):
        found = staging_state(sentinel, commit=commit, download_healthy=True, copy_there=False)
        assert found is StagingState.PARTIAL


# Names and methods


@given(st.text(), st.text(min_size=1))
def test_staging_lies_beside_the_target_under_a_name_of_its_own(spec: str, name: str) -> None:
    target = f"/home/{name}/x"
    path = staging_path(spec, target)
    assert posixpath.dirname(path) == posixpath.dirname(target)
    assert re.fullmatch(r"\.mlxk-staging-[0-9a-f]{16}", posixpath.basename(path))
    assert path == staging_path(spec, target)
    assert path != staging_path(spec + "x", target)
    assert path != staging_path(spec, target + "x")


@pytest.mark.parametrize(
    ("given_target", "home", "expected"),
    [
        (None, "/ws", "/ws/name"),
        (None, None, "/here/name"),
        ("mine", "/ws", "/ws/mine"),
        ("mine", None, "/here/mine"),
        ("./mine", "/ws", "/here/mine"),
        ("../mine", "/ws", "/mine"),
        ("sub/mine", "/ws", "/here/sub/mine"),
        ("/abs/mine/", "/ws", "/abs/mine"),
        (".", "/ws", "/here"),
        ("..", "/ws", "/"),
    ],
)
def test_where_a_clone_goes(given_target: str | None, home: str | None, expected: str) -> None:
    for repo in ("org/name", "name"):
        assert target_path(repo, given_target, workspace_home=home, directory="/here") == expected


@pytest.mark.parametrize("given_target", ["", "a\0b", "./\0"])
def test_what_is_no_path_is_refused(given_target: str) -> None:
    with pytest.raises(InvalidInput):
        target_path("org/name", given_target, workspace_home=None, directory="/here")


def test_the_costliest_way_is_told() -> None:
    for methods in itertools.product(CopyMethod, repeat=2):
        costliest = CopyMethod.costliest(methods, otherwise=CopyMethod.COPY)
        assert costliest in methods
        assert CopyMethod.COPY not in methods or costliest is CopyMethod.COPY
        assert set(methods) != {CopyMethod.CLONEFILE, CopyMethod.REFLINK} or costliest is CopyMethod.REFLINK
    assert CopyMethod.costliest((), otherwise=CopyMethod.REFLINK) is CopyMethod.REFLINK
