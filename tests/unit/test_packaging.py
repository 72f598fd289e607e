"""What is built and installed is what is in the source tree."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_installed() -> None:
    folders = {path.parent.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}
    found = sorted(".".join(("mlxk", *folder.parts)) for folder in folders)
    assert sorted(SETUPTOOLS["packages"]) == found


def test_what_is_no_code_is_installed_too() -> None:
    data = {
        path.relative_to(ROOT / "src")
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    listed = {
        file.relative_to(ROOT / "src")
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for file in (ROOT / "src").joinpath(*package.split(".")[1:]).glob(pattern)
    }
    assert data == listed
