"""apt-get with a private configuration: where it looks, whom it trusts, and what it takes over from the machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.errors import HarnessError

Progress = Callable[[str], None]

#: Names a mirror of Debian's archive for a suite that the machine's own sources do not lead to.
MIRROR_VARIABLE = "STACK_DEBIAN_MIRROR"
LISTS_ARE_FRESH_FOR_SECONDS = 3600
APT_TIMEOUT_SECONDS = 900

# What of the machine's apt settings is taken over: how to reach the archive, never what to run afterwards.
_KEPT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::ForceIP", "Acquire::Retries")
_ARCHIVE_COMPONENTS = {"main", "universe"}
_SUITE_ALIASES = {"stable", "oldstable", "testing", "unstable", "sid"}
_KEYRING_FOLDERS = (
    ("/etc/apt/trusted.gpg.d", "*"),
    ("/usr/share/keyrings", "debian-archive-*"),
    ("/usr/share/keyrings", "ubuntu-archive-*"),
)
_CONFIGURATION = """\
Dir "{root}";
Dir::State "{root}/state";
Dir::State::status "{status}";
Dir::Cache "{root}/cache";
Dir::Cache::srcpkgcache "";
Dir::Etc "{root}/etc";
Dir::Etc::sourcelist "{root}/etc/sources.list";
Dir::Etc::sourceparts "{root}/etc/none";
Dir::Etc::parts "{root}/etc/none";
Dir::Etc::main "{root}/etc/none.conf";
Dir::Etc::preferences "{root}/etc/none.pref";
Dir::Etc::preferencesparts "{root}/etc/none";
Dir::Etc::trusted "{root}/etc/none.gpg";
Dir::Etc::trustedparts "{root}/etc/keys";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::Retries "3";
Debug::NoLocking "true";
"""


class DebianError(HarnessError):
    """A package cannot be had; the message is one line that says why and what helps."""


class Depends(Enum):
    """Which dependencies are unpacked along with the packages asked for."""

    NONE = "none"  #: the packages alone
    MISSING = "missing"  #: what the machine itself lacks; only for the machine's own release
    ALL = "all"  #: everything down to the C library, for a root folder that stands alone


@dataclass(frozen=True)
class Source:
    """One archive that apt can read: its address, suite (``bookworm-security``) and components."""

    uri: str
    suite: str
    components: tuple[str, ...]

    def line(self) -> str:
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"


def quiet(_: str) -> None:
    """The progress callback that says nothing."""


def release() -> tuple[str, str]:
    """The machine's distribution and the code name of its release, such as ``("debian", "bookworm")``."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            found[key] = value.strip().strip("\"'")
    return found.get("ID", "unknown"), found.get("VERSION_CODENAME", "unknown")


class Apt:
    """apt-get with a private configuration below `root`."""

    def __init__(self, root: Path, label: str, progress: Progress) -> None:
        self.root = root
        self.label = label
        self._progress = progress

    def configure(self, sources: Sequence[Source], keys: Sequence[Path], depends: Depends) -> None:
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/none", "etc/keys"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        status = self.root / "state" / "status"
        status.write_text("")
        if depends is Depends.MISSING:
            status = Path("/var/lib/dpkg/status")
        settings = _CONFIGURATION.format(root=self.root, status=status, architecture=_dump_value("APT::Architecture"))
        (self.root / "apt.conf").write_text(settings + "".join(f"{line}\n" for line in _kept_settings()))
        (self.root / "etc" / "sources.list").write_text("".join(f"{source.line()}\n" for source in sources))
        for number, key in enumerate(keys):
            suffix = ".asc" if key.suffix == ".asc" else ".gpg"
            shutil.copyfile(key, self.root / "etc" / "keys" / f"{number:02d}-{key.stem}{suffix}")

    def update(self) -> None:
        """Fetches the lists, unless those at hand are recent."""
        mark = self.root / "state" / "updated"
        wanted = (self.root / "etc" / "sources.list").read_text()
        with contextlib.suppress(OSError):
            if mark.read_text() == wanted and 0 <= time.time() - mark.stat().st_mtime < LISTS_ARE_FRESH_FOR_SECONDS:
                return
        self._progress(f"reading the package lists of {self.label}")
        self.run("apt-get", "update", "-q", "--error-on=any")
        mark.write_text(wanted)

    def download(self, packages: Sequence[str], depends: Depends) -> list[Path]:
        """The package files of `packages` and of the dependencies asked for."""
        archives = self.root / "cache" / "archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        if depends is Depends.NONE:
            self.run("apt-get", "download", "-q", *packages, folder=archives)
        else:
            again = ["--reinstall"] if depends is Depends.MISSING else []
            self.run("apt-get", "install", "-q", "--yes", "--download-only", *again, *packages)
        found = sorted(archives.glob("*.deb"))
        missing = [name for name in packages if not any(path.name.startswith(f"{name}_") for path in found)]
        if missing:
            raise DebianError(f"{self.label} gave no package file for {' '.join(missing)}")
        return found

    def run(self, *command: str, folder: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C", "PATH": _path()}
        environment["DEBIAN_FRONTEND"] = "noninteractive"
        return run(command, f"{self.label}: {command[0]} {command[1]}", environment, folder)


@contextlib.contextmanager
def opened(suite: str | None, depends: Depends, cache: Path | None, progress: Progress) -> Iterator[Apt]:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program, path=_path()) is None:
            raise DebianError(f"{program} is missing: packages can be taken from Debian only on Debian or its kin")
    distribution, own = release()
    wanted = suite or own
    sources = sources_for(suite)
    with contextlib.ExitStack() as stack:
        if cache is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apt-", ignore_cleanup_errors=True)))
        else:
            root = cache.resolve() / wanted
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(root / "lock"))
        family = distribution if suite is None else "debian"
        apt = Apt(root, f"{family.capitalize()} {wanted}", progress)
        apt.configure(sources, _keys(family), depends)
        apt.update()
        yield apt
        for archive in (root / "cache" / "archives").glob("*.deb"):
            archive.unlink()


def sources_for(suite: str | None) -> list[Source]:
    """The archives that hold `suite` (None: the machine's release), at the addresses of the machine's own sources.

    Raises `DebianError` where none of the machine's sources leads to it.
    """
    distribution, own = release()
    configured = _machine_sources()
    mine = [source for source in configured if _base(source.suite) in {own, *_SUITE_ALIASES}]
    if suite in (None, own):
        if mine:
            return mine
        raise DebianError(f"no source of {distribution} {own} is set up for apt: see /etc/apt/sources.list.d")
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror and distribution == "debian":
        mirror = next((source.uri for source in mine if source.suite == _base(source.suite)), None)
    if not mirror:
        raise DebianError(
            f"Debian {suite} cannot be reached through the apt sources of {distribution} {own}: "
            f"set {MIRROR_VARIABLE} to the address of a Debian mirror"
        )
    return [Source(mirror, str(suite), ("main",))]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` against other processes and threads until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _machine_sources() -> list[Source]:
    """apt's own reading of the machine's sources: both file formats, with its variables filled in."""
    shape = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    listing = run(("apt-get", "indextargets", "--no-release-info", "--format", shape, "Created-By: Packages"),
                   "reading the machine's apt sources")  # fmt: skip
    components: dict[tuple[str, str], list[str]] = {}
    for line in listing.splitlines():
        uri, suite, component = line.split("|", 2)
        known = components.setdefault((uri, suite), [])
        if component in _ARCHIVE_COMPONENTS and component not in known:
            known.append(component)
    return [Source(uri, suite, tuple(names)) for (uri, suite), names in components.items() if names]


def _base(suite: str) -> str:
    return re.sub(r"(-updates|-security|/updates)$", "", suite)


def _keys(family: str) -> list[Path]:
    found = [path for folder, shape in _KEYRING_FOLDERS for path in sorted(Path(folder).glob(shape))]
    found = [path for path in found if path.suffix in {".gpg", ".asc", ".pgp"} and "removed" not in path.name]
    if not any(path.name.startswith(f"{family}-archive") for path in found):
        raise DebianError(f"the keys of {family.capitalize()}'s archive are missing: install {family}-archive-keyring")
    return found


def _dump_value(name: str) -> str:
    listing = run(("apt-config", "dump", name), "reading the machine's apt settings")
    found = re.search(rf'^{re.escape(name)} "(.*)";$', listing, re.MULTILINE)
    return found.group(1) if found else ""


def _kept_settings() -> list[str]:
    listing = run(("apt-config", "dump"), "reading the machine's apt settings")
    return [line for line in listing.splitlines() if line.startswith(_KEPT_SETTINGS)]


def _path() -> str:
    # The tools of the system itself are used, however short the caller's PATH is.
    return os.pathsep.join(filter(None, (os.environ.get("PATH"), "/usr/bin", "/bin", "/usr/sbin", "/sbin")))


def run(
    command: Sequence[str], doing: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    environment = environment or {**os.environ, "LC_ALL": "C", "PATH": _path()}
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=APT_TIMEOUT_SECONDS, check=False, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DebianError(f"{doing} did not end within {APT_TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise DebianError(f"{doing}: {error}") from None
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "no reason given")
        raise DebianError(f"{doing} failed: {said.removeprefix('E:').strip()}")
    return done.stdout
