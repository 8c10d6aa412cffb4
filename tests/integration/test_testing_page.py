"""The examples of docs/testing.md are run as they stand, in a project as the page describes it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SCHEDULES = 'schedules: {hourly: {task: shop.ship, args: [1], cron: "0 * * * *"}}\n'
TESTS = 10


def test_the_examples_of_the_page_hold(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (ini,) = (code for language, code in blocks if language == "ini")
    project, *examples = (code for language, code in blocks if language == "python")
    (tmp_path / "shop.py").write_text(project, encoding="utf-8")
    (tmp_path / "schedules.yaml").write_text(SCHEDULES, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(ini, encoding="utf-8")
    for number, example in enumerate(examples):
        (tmp_path / f"test_example{number}.py").write_text(example, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=."]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{TESTS} passed" in answer.stdout
