"""Certificates for a test, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    return certificate


def certificate(folder: Path, name: str, ca: Path, alternative: str = "DNS:localhost") -> Path:
    key, request, signed = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.crt"
    extension = folder / f"{name}.ext"
    extension.write_text(f"subjectAltName={alternative}\nauthorityKeyIdentifier=keyid\n")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)),
    )
    openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca.with_suffix(".key"))),
        *("-CAcreateserial", "-days", "2", "-extfile", str(extension), "-out", str(signed)),
    )
    return signed
