"""The file of keys: read by its owner alone, and never shown."""

from __future__ import annotations

import pytest
from backbeat.canvas.config import Config
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.message import Message
from backbeat.canvas.wire import SIGNATURE
from backbeat.canvas.wiring import keyring_of

KEYS = """
[new]
secret = "canary-canary-canary"
tasks = ["shop.*"]

[old]
secret = "yranac-yranac-yranac"
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(KEYS)
    file.chmod(0o640)
    return file


def test_the_first_key_of_the_file_signs(path):
    wire = keyring_of(Config({"security_keys": path})).wire(Message(id="i", task="shop.pay"))

    assert wire.headers[SIGNATURE].startswith("1:new:")


def test_the_environment_names_the_file(path):
    conf = Config()
    conf.read_environment({"BACKBEAT_SECURITY_KEYS": str(path)})

    assert keyring_of(conf).signs


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_file_that_everybody_may_read_or_change_is_refused(path, mode):
    path.chmod(mode)

    with pytest.raises(ImproperlyConfigured, match=r"keys\.toml: chmod 600"):
        keyring_of(Config({"security_keys": str(path)}))


@pytest.mark.parametrize(
    "text", ["canary", "[a]\nsecret = canary", "[a]\nsecret = 'canary'", b"\xff canary", ""]
)
def test_a_file_that_holds_no_keys_is_refused_without_showing_it(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ImproperlyConfigured, match="security_keys") as refused:
        keyring_of(Config({"security_keys": str(path)}))

    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="No such file"):
        keyring_of(Config({"security_keys": str(tmp_path / "none")}))
