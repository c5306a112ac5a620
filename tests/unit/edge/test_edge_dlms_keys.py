from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.drivers.dlms.keys import Secret, from_folder, place_of, read_key, read_password
from metering.errors import StopAndFix

HEX = "000102030405060708090a0b0c0d0e0f"


def secret_file(folder: Path, text: str, mode: int = 0o600, name: str = "key") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return from_folder(name, folder)


def test_a_key_is_read_from_a_file_of_its_owner(tmp_path: Path) -> None:
    assert read_key(secret_file(tmp_path, f"{HEX}\n")) == Secret(bytes(range(16)))


def test_a_password_is_text_or_hex(tmp_path: Path) -> None:
    assert read_password(secret_file(tmp_path, "00000001\n")).octets == b"00000001"
    assert read_password(secret_file(tmp_path, "0x3031ff\n")).octets == b"01\xff"


def test_a_credential_of_systemd_is_found_in_its_folder_only(tmp_path: Path, monkeypatch) -> None:
    secret_file(tmp_path, HEX, 0o400, "meter-1-ek")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert read_key(from_folder("credential:meter-1-ek", Path("/nowhere"))) == Secret(bytes(range(16)))
    assert place_of("credential:../../etc/shadow") == tmp_path / "shadow"


def test_without_systemd_a_credential_says_what_to_do(monkeypatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    with pytest.raises(StopAndFix, match="LoadCredential="):
        read_key("credential:meter-1-ek")


@pytest.mark.parametrize("text", ["0001", HEX + "00", "zz" * 16, "not a key"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    name = secret_file(tmp_path, text)

    with pytest.raises(StopAndFix, match="32 hexadecimal digits") as refused:
        read_key(name)
    assert text not in str(refused.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StopAndFix, match="chmod 600"):
        read_key(secret_file(tmp_path, HEX, 0o640))


def test_a_password_that_is_not_hex_behind_its_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StopAndFix, match="hexadecimal"):
        read_password(secret_file(tmp_path, "0xzz"))
