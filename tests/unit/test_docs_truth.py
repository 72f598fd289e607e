"""The documentation names what there is: links lead somewhere, and lists are complete."""

import re
from pathlib import Path

import pytest

from mlxk.app.settings import Settings
from mlxk.domain.errors import ErrorKind
from mlxk.domain.findings import Code

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def test_every_finding_has_its_line() -> None:
    page = (ROOT / "docs/health.md").read_text()
    assert [code.value for code in Code if f"| `{code.value}` |" not in page] == []


def test_every_error_type_has_its_line() -> None:
    page = (ROOT / "docs/json.md").read_text()
    lines = [f"| `{kind.type}` | {kind.exit_code} | {kind.http_status} |" for kind in ErrorKind]
    assert [line for line in lines if line not in page] == []


def test_every_setting_has_its_line() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    variables = [f"MLXK_{name.upper()}" for name in Settings.__dataclass_fields__]
    assert [name for name in variables if f"| `{name}` |" not in page] == []
