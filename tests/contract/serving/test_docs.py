"""The examples of the documentation that need a server, against one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.contract.serving.conftest import PARROT
from tests.contract.serving.running import LIMIT, Served, serving
from tests.isolation import Place

ROOT = Path(__file__).parents[3]
PORT = ":8000"
"""Where the pages say the server is."""

STAND_INS = {'"qwen3-4b"': f'"{PARROT}"'}
"""Models of the pages that only a download would bring here, and those that know the same chats."""


@pytest.fixture(scope="module")
def demo(served_place: Place) -> Iterator[Served]:
    with serving(served_place, "--model", "demo") as server:
        yield server


def _examples(info: str) -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        (page.name, token.content)
        for page in pages
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
        if token.type == "fence" and token.info.strip() == info
    ]


def test_the_readme_has_one() -> None:
    assert "README.md" in [page for page, _ in _examples("python server")]


@pytest.mark.parametrize(("page", "source"), _examples("python server"))
def test_python_examples_run_as_written(demo: Served, page: str, source: str) -> None:
    assert PORT in source
    for model, stand_in in STAND_INS.items():
        source = source.replace(model, stand_in)
    done = subprocess.run(
        [sys.executable, "-c", source.replace(PORT, f":{demo.port}")],
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("page", "source"), _examples("sh server"))
def test_shell_examples_run_as_written(demo: Served, page: str, source: str) -> None:
    assert PORT in source
    done = subprocess.run(
        ["/bin/sh", "-ec", source.replace(PORT, f":{demo.port}")],
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"error"' not in done.stdout
