"""The domain stands on the standard library alone, so that any program can use it."""

import json
import pkgutil
import subprocess
import sys

import mlxk.domain

MODULES = sorted(module.name for module in pkgutil.walk_packages(mlxk.domain.__path__, "mlxk.domain."))

PROBE = """
import importlib, json, sys
loaded = {}
for module in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(module)
    loaded[module] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""


def test_importing_the_domain_loads_nothing_but_the_standard_library() -> None:
    assert {"mlxk.domain.health", "mlxk.domain.naming", "mlxk.domain.tokens"} <= set(MODULES)
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, *MODULES], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert done.stdout.count("\n") == 1, "importing printed something"
    loaded: dict[str, list[str]] = json.loads(done.stdout)
    assert "mlxk.domain" in loaded[MODULES[0]]
    for module, names in loaded.items():
        own = [name for name in names if name.partition(".")[0] == "mlxk"]
        foreign = {name.partition(".")[0] for name in names} - {"mlxk"}
        assert all(name in {"mlxk", "mlxk.domain", *MODULES} for name in own), module
        assert foreign <= sys.stdlib_module_names, module
