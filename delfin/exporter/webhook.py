# SPDX-License-Identifier: Apache-2.0
"""The exporter `webhook`: events as signed JSON to a URL."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any, Self

from oslo_config import cfg

from delfin import exception
from delfin.common import json
from delfin.context import RequestContext
from delfin.exporter import base_exporter, documents, receiver
from delfin.exporter.base_exporter import AlertExporterBase, DeliveryFailed
from delfin.exporter.receiver import Receiver

SIGNATURE = 'X-Delfin-Signature'
DELIVERY = 'X-Delfin-Delivery'

_SHORTEST_SECRET = 16


class WebhookExporter(AlertExporterBase):
    """Posts `{"version": "1", "events": [{"id", "event", "at", "alert"}]}`; 2xx means delivered."""

    EVENTS = AlertExporterBase.EVENTS | {base_exporter.ACKNOWLEDGED}

    def __init__(self, target: Receiver, secret: Callable[[], str], clock: Callable[[], float] = time.time) -> None:
        self._receiver, self._secret, self._clock = target, secret, clock

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        options = conf.webhook
        if not options.url:
            raise exception.InvalidConfiguration('[webhook] url must be set for the exporter webhook')
        if not options.secret_file:
            raise exception.InvalidConfiguration('[webhook] secret_file must be set for the exporter webhook')
        receiver.read_url(options.url, '[webhook] url')

        def secret() -> str:
            text = receiver.read_secret(options.secret_file, '[webhook] secret_file')
            if len(text) < _SHORTEST_SECRET:
                raise exception.InvalidConfiguration(
                    f'[webhook] secret_file: {options.secret_file} must hold at least {_SHORTEST_SECRET} characters; '
                    'make it with "openssl rand -hex 32"')
            return text

        secret()        # now, when somebody looks
        return cls(Receiver(options.url, timeout_seconds=options.timeout_seconds, ca_file=options.ca_file), secret)

    def dispatch(self, ctxt: RequestContext, data: list[dict[str, Any]]) -> None:
        """See the base class."""
        body = json.dumps({'version': documents.VERSION, 'events': [documents.event(alert) for alert in data]})
        moment = int(self._clock())
        try:
            key = self._secret()
        except exception.InvalidConfiguration as error:     # the file has gone or changed
            raise DeliveryFailed(error.msg) from None
        self._receiver.post(body, {SIGNATURE: f't={moment},v1={signature(key, moment, body)}',
                                   DELIVERY: delivery(data)})


def signature(key: str, moment: int, body: bytes) -> str:
    """HMAC-SHA256 of "<unix seconds>.<body>" in hexadecimal."""
    return hmac.new(key.encode(), b'%d.%b' % (moment, body), hashlib.sha256).hexdigest()


def delivery(data: list[dict[str, Any]]) -> str:
    """The same for the same events."""
    return hashlib.blake2b('\n'.join(alert['event_id'] for alert in data).encode(), digest_size=16).hexdigest()
