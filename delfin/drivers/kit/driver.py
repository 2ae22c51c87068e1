# SPDX-License-Identifier: Apache-2.0
"""What drivers with a session have in common: `RestDriver` and `CliDriver` say which session it is."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from delfin.drivers.driver import StorageDriver


class Session(Protocol):
    """Made of a driver's arguments; nothing is asked before it is needed."""

    def __init__(self, **access: Any) -> None: ...

    def close(self) -> None:
        """Log out; a later request would log in again."""


class SessionDriver(StorageDriver):
    """A driver whose array is reached by one session, which `SESSION` names, with the first section of `PROTOCOLS`."""

    SESSION: ClassVar[type[Session]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session = self.SESSION(**kwargs)       # no request before it is needed

    def reset_connection(self, context: Any, **kwargs: Any) -> None:
        """Log out; the next call logs in, with the new access information if there is any."""
        session = self.SESSION(**kwargs) if kwargs.get(self.PROTOCOLS[0]) else None
        self.session.close()
        self.session = session or self.session

    def delete_storage(self, context: Any) -> None:
        """Log out."""
        self.session.close()
