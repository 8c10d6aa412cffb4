"""Settings whose values stand in files."""

from __future__ import annotations

import pytest
from backbeat.canvas.config import Config
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.secret_file import from_file
from backbeat.canvas.webhook_tasks import policy_of
from backbeat.scheduler.cli import main
from click.testing import CliRunner

URL = "sqlite:///secret.db"


def test_a_named_file_has_the_value(tmp_path):
    (tmp_path / "url").write_text(f"{URL}\n")

    assert from_file("BROKER_URL", {"BACKBEAT_BROKER_URL_FILE": str(tmp_path / "url")}) == URL


def test_a_credential_that_systemd_lends_has_the_value(tmp_path):
    (tmp_path / "backbeat.broker_url").write_text(URL)

    assert from_file("BROKER_URL", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == URL
    assert from_file("STORE", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_a_named_file_comes_before_a_credential(tmp_path):
    (tmp_path / "backbeat.broker_url").write_text("other")
    (tmp_path / "url").write_text(URL)
    environ = {"BACKBEAT_BROKER_URL_FILE": str(tmp_path / "url"), "CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert from_file("BROKER_URL", environ) == URL


def test_without_a_file_there_is_no_value():
    assert from_file("BROKER_URL", {}) is None


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff\xfe"])
def test_a_named_file_that_is_missing_empty_or_no_text_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ImproperlyConfigured, match=str(path)):
        from_file("BROKER_URL", {"BACKBEAT_BROKER_URL_FILE": str(path)})


def test_the_command_line_takes_the_broker_from_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "url").write_text("nonsense://user:secret@host")

    environ = {"BACKBEAT_BROKER_URL_FILE": "url", "BACKBEAT_BROKER_URL": None, "BACKBEAT_APP": None}
    answer = CliRunner().invoke(main, ["call", "task"], env=environ)

    assert answer.exit_code == 2
    assert "nonsense" in answer.output
    assert "secret" not in answer.output


def test_the_environment_comes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "url").write_text("nonsense://host")
    environ = {
        "BACKBEAT_BROKER_URL_FILE": "url",
        "BACKBEAT_BROKER_URL": "gibberish://host",
        "BACKBEAT_APP": None,
    }

    answer = CliRunner().invoke(main, ["call", "task"], env=environ)

    assert "gibberish" in answer.output


def test_the_secret_of_webhooks_may_stand_in_a_file_that_every_process_reads(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from the file, which is long\n")
    monkeypatch.setenv("BACKBEAT_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))

    assert policy_of(Config()).secret == "from the file, which is long"
    assert (
        policy_of(Config({"webhook_secret": "of the app, long enough"})).secret == "of the app, long enough"
    )
