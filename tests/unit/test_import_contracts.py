"""Who may import whom: the contracts of .importlinter hold, and no module is left out of them."""

from __future__ import annotations

import ast
import configparser
import logging
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / ".importlinter"
PACKAGES = ("canvas", "scheduler")
CLOCKS = {
    "now",
    "today",
    "utcnow",
    "time",
    "monotonic",
    "perf_counter",
    "uuid1",
    "uuid4",
    "open",
    "input",
    "print",
}
"""What a pure module might call without importing a module that the contract knows: datetime.now, open ..."""
DRAWS = {("backbeat.canvas.ids", "uuid4")}
"""`ids.draw` makes the first id of a canvas; nothing else draws one."""


@pytest.fixture(autouse=True)
def _loggers_as_they_were():
    """import-linter sets logging up for itself, and disables the loggers that exist."""
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [(each, each.disabled, each.level, each.propagate) for each in (logging.root, *loggers)]
    handlers = list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers
    for each, disabled, level, propagate in before:
        each.disabled, each.propagate = disabled, propagate
        each.setLevel(level)


def modules():
    """Every module's file, by its name; packages' own __init__ files hold no code of a layer."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "__init__.py":
                found[".".join(("backbeat", *path.relative_to(ROOT).with_suffix("").parts))] = path
    return found


def contract(name):
    config = configparser.ConfigParser(interpolation=None)
    config.read(CONTRACTS)
    return {key: value.split("\n") for key, value in config[f"importlinter:contract:{name}"].items()}


def listed(name, key):
    return {word for line in contract(name)[key] for word in line.replace(":", " ").split()}


def says_pure(path):
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return "PURE" in docstring.split() or any(f"PURE{mark}" in docstring.split() for mark in ".:,")


def test_the_contracts_hold(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)

    code = lint_imports(config_filename=str(CONTRACTS), no_cache=True, no_logo=True)

    assert code == 0, capsys.readouterr().out


def test_a_contract_sees_imports_by_way_of_another_module(monkeypatch, tmp_path, capsys):
    """The control: flow knows json, but only through json_text."""
    config = tmp_path / "contract"
    config.write_text(
        "[importlinter]\nroot_packages =\n  backbeat.canvas\ninclude_external_packages = True\n"
        "[importlinter:contract:x]\nname = x\ntype = forbidden\n"
        "source_modules =\n  backbeat.canvas.flow\nforbidden_modules =\n  json\n"
    )
    monkeypatch.chdir(ROOT)

    code = lint_imports(config_filename=str(config), no_cache=True, no_logo=True)

    assert code == 1
    assert "backbeat.canvas.json_text -> json" in capsys.readouterr().out


def test_the_list_of_pure_modules_is_that_of_the_modules_that_say_so():
    saying = {name for name, path in modules().items() if says_pure(path)}

    assert listed("pure", "source_modules") == saying


def test_a_pure_module_asks_no_clock_and_opens_nothing():
    found = [
        (name, node.lineno, called)
        for name, path in modules().items()
        if says_pure(path)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for called in [
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        ]
        if called in CLOCKS and (name, called) not in DRAWS
    ]

    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_place_in_a_layer(package):
    placed = listed(f"{package}-layers", "layers")
    of_package = {name for name in modules() if name.startswith(f"backbeat.{package}.")}

    homeless = {
        name
        for name in of_package
        if not any(name == place or name.startswith(f"{place}.") for place in placed)
    }
    gone = {
        place
        for place in placed
        if not any(name == place or name.startswith(f"{place}.") for name in of_package)
    }

    assert (sorted(homeless), sorted(gone)) == ([], []), "say in .importlinter to which layer each belongs"
