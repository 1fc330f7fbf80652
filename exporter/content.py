"""Events in another form than JSON, where the settings accept it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

JSON = "application/json"


class Converter:
    """Turns a message body of an accepted content type into JSON.

    kombu's serializers are loaded only if there is anything but JSON to accept; pickle runs whatever it is given, so
    only who names it in ``--accept-content`` gets it.
    """

    def __init__(self, accept: Iterable[str]) -> None:
        self._accept: Any = None
        if set(accept) - {"json", JSON}:
            from kombu.serialization import prepare_accept_content  # noqa: PLC0415

            self._accept = prepare_accept_content(list(accept))

    def __call__(self, body: bytes, content_type: str, content_encoding: str) -> bytes | None:
        """Return the JSON, or None when this type is not accepted.

        :raises ValueError: the body is not what its type says.
        """
        if self._accept is None or content_type not in self._accept:
            return None
        from kombu.serialization import loads  # noqa: PLC0415

        try:
            content = loads(body, content_type, content_encoding or "utf-8", accept=self._accept)
            return msgspec.json.encode(content, enc_hook=str)
        except Exception as error:  # every serializer has errors of its own
            raise ValueError(type(error).__name__) from None
