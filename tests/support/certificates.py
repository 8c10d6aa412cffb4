"""Certificates: an authority of a test's own, and certificates of it, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import servers


def make_certificates(here: Path) -> Path:
    """Puts ca.pem there, and two certificates of it with their keys: server.pem for localhost and other.pem for another host."""
    servers.require_program("openssl")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        "req", "-x509", *curve, "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem", cwd=here
    )
    for name, host in (("server", "localhost"), ("other", "elsewhere.example")):
        (here / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        _openssl(
            "req", *curve, "-subj", f"/CN={host}", "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=here
        )
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext"]
        _openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem", cwd=here)
    return here


def _openssl(*words: str, cwd: Path) -> None:
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)
