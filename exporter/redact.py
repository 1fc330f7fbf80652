"""Nothing secret leaves the process: URLs and messages are cleaned before they reach a log line."""

from __future__ import annotations

import re
from urllib.parse import unquote

_USERINFO = re.compile(r"(?<=://)[^/@\s;]*@")
_HIDDEN = "***"


def url(value: str) -> str:
    """Return ``value`` with the user and password of every URL in it replaced by ``***``."""
    return _USERINFO.sub(f"{_HIDDEN}@", value)


class Redactor:
    """Removes known secrets (and the user part of URLs) from text.

    ``secrets`` are the passwords in force; those shorter than three characters are left alone, since replacing them
    would garble every line without hiding anything.
    """

    def __init__(self, *secrets: str | None) -> None:
        self._secrets = sorted({s for s in secrets if s and len(s) > 2}, key=len, reverse=True)

    @classmethod
    def of_urls(cls, *texts: str | None) -> Redactor:
        """A redactor for passwords as they are, and for those in URLs (several in one text with ``;`` between)."""
        secrets: set[str | None] = set()
        for text in texts:
            for one in (text or "").split(";"):
                if "://" not in one:
                    secrets.add(text)
                    continue
                word = one.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")[2]
                secrets |= {word, unquote(word)}
        return cls(*secrets)

    def __call__(self, text: object) -> str:
        """Return ``text`` as one line, cleaned and cut to 300 characters."""
        line = " ".join(str(text).split())
        for secret in self._secrets:
            line = line.replace(secret, _HIDDEN)
        return url(line)[:300]
