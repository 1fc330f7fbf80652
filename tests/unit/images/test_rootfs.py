"""What is made of a root folder in which no maintainer script has run."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harness.debian import DebianError
from harness.rootfs import Finish, archive, finish


def written(root: Path, parts: Finish) -> dict[str, tarfile.TarInfo]:
    out = io.BytesIO()
    archive(root, parts, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as stream:
        return {member.name.removeprefix("./"): member for member in stream}


def test_everything_belongs_to_root_but_the_folders_of_the_service(tmp_path: Path) -> None:
    parts = Finish(users={"redis": (999, 1000)}, folders={"data": (999, 1000)})
    (tmp_path / "usr/bin").mkdir(parents=True)
    program = tmp_path / "usr/bin/su"
    program.write_text("x")
    program.chmod(0o4755)
    finish(tmp_path, parts)
    members = written(tmp_path, parts)
    assert (members["data"].uid, members["data"].gid) == (999, 1000)
    others = {(member.uid, member.gid) for name, member in members.items() if name != "data"}
    assert others == {(0, 0)}
    assert members["usr/bin/su"].mode == 0o755, "no program gains rights"
    assert members["tmp"].mode == 0o1777
    assert "redis:x:999:1000:" in (tmp_path / "etc/passwd").read_text()
    assert {"root", "nobody", "redis"} <= {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().split()}


def test_files_links_and_removals(tmp_path: Path) -> None:
    (tmp_path / "usr/share/doc/x").mkdir(parents=True)
    (tmp_path / "marker").write_text("x")
    parts = Finish(
        links={"usr/local/bin/pip": "/usr/bin/pip3"},
        files={"usr/local/bin/start": "\n#!/bin/sh\nexit\n", "etc/some.yml": "a: 1\n"},
        remove=("marker", "never-there"),
    )
    finish(tmp_path, parts)
    assert (tmp_path / "usr/local/bin/start").read_text().startswith("#!/bin/sh")
    assert (tmp_path / "usr/local/bin/start").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "etc/some.yml").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "usr/share/doc").exists()
    assert not (tmp_path / "marker").exists()
    assert written(tmp_path, parts)["usr/local/bin/pip"].linkname == "/usr/bin/pip3"


def test_the_bundle_of_certificates_is_made_of_the_packages_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/ca-certificates/mozilla"
    folder.mkdir(parents=True)
    for name in ("b", "a"):
        (folder / f"{name}.crt").write_text(f"certificate {name}")
    finish(tmp_path, Finish())
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text() == "certificate a\ncertificate b\n"
    assert (tmp_path / "etc/ca-certificates.conf").read_text() == "mozilla/a.crt\nmozilla/b.crt\n"


def test_a_folder_without_an_interpreter_cannot_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(DebianError, match=r"python3\.13 brought no dynamic loader"):
        finish(tmp_path, Finish(compile="python3.13"))
