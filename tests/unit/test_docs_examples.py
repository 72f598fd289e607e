"""Every Python example in the documentation runs.

The ```python blocks of a page share one namespace and run from top to bottom, each page in an interpreter of
its own that starts in an empty directory and with an empty home. Their asserts are the test. A traceback has
the page's own lines.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
RUNNER = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'))"
USERS_SETTINGS = ("HF_", "HUGGING", "MLXK_", "PYTHON", "XDG_")


def examples(page: str) -> str:
    """The Python blocks of a Markdown page, each on the lines it has there, and blank lines between."""
    lines = [""] * page.count("\n")
    for token in MarkdownIt().parse(page):
        if token.type == "fence" and token.info.strip() == "python" and token.map:
            block = token.content.splitlines()
            first = token.map[0] + 1
            lines[first : first + len(block)] = block
    return "\n".join(lines)


def run(source: str, page: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    home = directory / "home"
    work = directory / "work"
    home.mkdir()
    work.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(USERS_SETTINGS)}
    isolated = {"HOME": str(home), "HF_HOME": str(home / "huggingface"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", RUNNER, str(page)],
        input=source,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=work,
        env={**kept, **isolated, "PYTHONUTF8": "1"},
    )


PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])
    if examples(page.read_text(encoding="utf-8")).strip()
}


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run(name: str, tmp_path: Path) -> None:
    done = run(examples(PAGES[name].read_text(encoding="utf-8")), PAGES[name], tmp_path)
    assert done.returncode == 0, done.stderr


def test_there_are_pages_with_examples() -> None:
    assert "docs/embedding.md" in PAGES


PAGE = """# A page

```python
value = 1
```

- a list

  ```python
  value += 1
  ```

```console
$ not python
```

```python
assert value == 3, "wrong on line 18"
```
"""


def test_an_example_that_fails_is_told_by_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    done = run(examples(PAGE), page, tmp_path)
    assert done.returncode == 1
    assert f'File "{page}", line 18' in done.stderr
    assert "AssertionError: wrong on line 18" in done.stderr


def test_examples_see_neither_the_users_home_nor_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLXK_WORKSPACE_HOME", "/somewhere")
    monkeypatch.setenv("HF_HUB_CACHE", "/somewhere")
    source = """
import os, pathlib
assert not list(pathlib.Path().iterdir())
assert not list(pathlib.Path.home().iterdir())
assert os.environ["HF_HOME"].startswith(str(pathlib.Path.home()))
assert not {"MLXK_WORKSPACE_HOME", "HF_HUB_CACHE"} & set(os.environ)
"""
    done = run(source, tmp_path / "page.md", tmp_path)
    assert done.returncode == 0, done.stderr
