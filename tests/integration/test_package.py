"""The wheel: what is in it, built offline from a copy of the tree, so that nothing is left behind here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("canvas", "scheduler")
BESIDE = ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"])
OLDEST_SETUPTOOLS = 77
"""pyproject.toml asks for it; pip does not fetch it here, as the build is offline."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel's names and a reader of its files."""
    _require_setuptools()
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("out")
    for package in PACKAGES:
        # symlinks stay what they are: scheduler/units is one to systemd/, scheduler/starter one to examples/starter/
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored, symlinks=True)
    for name in BESIDE:
        shutil.copy(ROOT / name, tree / name)
    for name in ("systemd", "examples/starter"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--wheel-dir",
        out,
        tree,
    ]
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, command)],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (path,) = out.iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


def _require_setuptools():
    found = version("setuptools")
    if int(found.split(".")[0]) >= OLDEST_SETUPTOOLS:
        return
    text = f"SETUPTOOLS {found} IS TOO OLD to build the wheel: {OLDEST_SETUPTOOLS} or newer (make setup)"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


def files(*suffixes):
    """Our files with these endings, by the names that they have in the wheel."""
    return {
        f"backbeat/{path.relative_to(ROOT)}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes
    }


def dist_info():
    return f"backbeat-{PROJECT['version']}.dist-info"


def test_the_wheel_puts_one_package_into_site_packages(wheel):
    assert {name.split("/")[0] for name in wheel.namelist()} == {"backbeat", dist_info()}
    assert {name.split("/")[1] for name in wheel.namelist() if name.startswith("backbeat/")} == set(PACKAGES)


def test_every_module_is_in_the_wheel(wheel):
    ours = {name for name in wheel.namelist() if name.endswith(".py") and "/starter/" not in name}

    assert ours == files(".py")


def test_every_directory_with_modules_is_a_package():
    """Without an __init__.py it would be a namespace package, which setuptools leaves out."""
    directories = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

    assert [directory for directory in directories if not (directory / "__init__.py").exists()] == []


def test_data_files_are_in_the_wheel(wheel):
    names = set(wheel.namelist())

    assert {"backbeat/canvas/py.typed", "backbeat/scheduler/py.typed"} <= names
    assert files(".lua") <= names
    assert files(".lua") != set()


def test_the_systemd_units_are_in_the_wheel(wheel):
    ours = {f"backbeat/scheduler/units/{path.name}" for path in (ROOT / "systemd").iterdir()}

    assert {name for name in wheel.namelist() if "/units/" in name} == ours


def test_the_templates_of_a_new_project_are_in_the_wheel(wheel):
    templates = ROOT / "examples" / "starter"
    ours = {f"backbeat/scheduler/starter/{path.name}" for path in templates.iterdir() if path.is_file()}

    assert {name for name in wheel.namelist() if "/starter/" in name} == ours


def test_the_wheel_holds_the_pages_of_the_dashboard_and_what_they_load(wheel):
    web = ROOT / "scheduler" / "web"
    ours = {
        f"backbeat/scheduler/web/{folder}/{path.name}"
        for folder in ("static", "templates")
        for path in (web / folder).iterdir()
        if path.is_file()
    }

    assert ours
    assert {name for name in wheel.namelist() if re.search(r"/web/(static|templates)/", name)} == ours


def test_nothing_else_is_in_the_wheel(wheel):
    known = r"\.(py|lua)$|/py\.typed$|/(units|starter)/|/web/(static|templates)/"
    others = {name for name in wheel.namelist() if not re.search(known, name)}

    assert {name for name in others if not name.startswith(dist_info())} == set()


def test_the_command_is_called_backbeat(wheel):
    points = ConfigParser()
    points.read_string(wheel.read(f"{dist_info()}/entry_points.txt").decode())

    assert dict(points["console_scripts"]) == {"backbeat": "backbeat.scheduler.cli:main"}


def test_the_installed_wheel_imports_and_shows_its_version(wheel, tmp_path):
    """From the wheel alone: the tree is not on the path, and modules are found without the development install."""
    wheel.extractall(tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import backbeat.canvas, backbeat.scheduler.cli\n"
        f"assert backbeat.canvas.__file__.startswith({str(tmp_path)!r}), backbeat.canvas.__file__\n"
        "backbeat.scheduler.cli.main(['--version'])\n"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert PROJECT["version"] in answer.stdout
