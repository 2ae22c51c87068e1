# SPDX-License-Identifier: Apache-2.0
"""The exporter `alertmanager`: a state feed for Prometheus Alertmanager, API v2.

In Alertmanager the labels are what an alert is: another value of any label makes another alert. So everything that
may differ from one report of an alert to the next is an annotation. Where a label does change (somebody's alert gets
worse, a storage a new name), the old labels are resolved and the new ones fire.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from oslo_config import cfg

from delfin import exception
from delfin.alerts import STANDING
from delfin.common import json
from delfin.common.text import clean
from delfin.context import RequestContext
from delfin.exporter import receiver
from delfin.exporter.base_exporter import AlertFeedBase, DeliveryFailed, EventRefused
from delfin.exporter.receiver import Receiver

LOG = logging.getLogger(__name__)

FIRES_FOR = timedelta(minutes=4)        # without another word from us; several times the pause between two
TOLD_FOR = timedelta(minutes=15)        # how long an end is repeated
CHUNK = 500

_PATH = '/api/v2/alerts'
_EPOCH = datetime.fromtimestamp(0, UTC)
_LONGEST_REST_SECONDS = 60.0
_LABELS = ('alert_id', 'alert_name', 'severity', 'category', 'type', 'resource_type', 'location', 'storage_id',
           'storage_name', 'vendor', 'model', 'serial_number')
_NAMES = ('alert_name', 'alert_id', 'resource_type')     # what Alertmanager calls it; the first that is known
_ANNOTATIONS = ('description', 'recovery_advice', 'sequence_number', 'note')

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One alert as Alertmanager has it."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    url: str | None

    def ended(self, moment: datetime) -> _Entry:
        """The same, over. Alertmanager refuses one that ends before it starts, and everything that comes with it."""
        return _Entry(self.labels, self.annotations, self.starts_at, max(moment, self.starts_at), self.url)

    def body(self) -> dict[str, Any]:
        shown = {'labels': dict(self.labels), 'annotations': self.annotations, 'startsAt': self.starts_at,
                 'endsAt': self.ends_at}
        return {**shown, 'generatorURL': self.url} if self.url else shown


class AlertmanagerFeed(AlertFeedBase):
    """Tells one Alertmanager, or each of a cluster."""

    def __init__(self, members: Sequence[Receiver], delfin_url: str | None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._members = [_Member(member, clock) for member in members]
        self._delfin_url = delfin_url.rstrip('/') if delfin_url else None
        self._firing: dict[Labels, _Entry] = {}     # what they were told last
        self._over: dict[Labels, _Entry] = {}       # what they were told once and is no more, though not cleared
        self._told_at: datetime | None = None

    @classmethod
    def create(cls, conf: cfg.ConfigOpts) -> Self:
        options = conf.alertmanager
        headers = receiver.credentials(options, 'alertmanager')
        if not options.urls:
            raise exception.InvalidConfiguration('[alertmanager] urls must be set for the exporter alertmanager')
        members = []
        for value in options.urls:
            url = receiver.read_url(value, '[alertmanager] urls')
            if url.query:
                raise exception.InvalidConfiguration('[alertmanager] urls must be base URLs, without a query')
            receiver.check_way(url, headers, '[alertmanager] urls')
            path = value.rstrip('/').removesuffix(_PATH) + _PATH
            members.append(Receiver(path, timeout_seconds=options.timeout_seconds, ca_file=options.ca_file,
                                    headers=headers))
        if options.delfin_url:
            receiver.read_url(options.delfin_url, '[alertmanager] delfin_url')
        return cls(members, options.delfin_url)

    def tell(self, ctxt: RequestContext, alerts: Sequence[Mapping[str, Any]], moment: datetime) -> None:
        """See the base class. It succeeds when one member has taken it; the others get it with the next round."""
        firing = {entry.labels: entry for entry in (
            self._entry(alert, moment + FIRES_FOR) for alert in alerts if alert['state'] in STANDING)}
        cleared = {entry.labels: entry for entry in (
            self._entry(alert, alert['cleared_at']) for alert in alerts if alert['state'] not in STANDING)}
        if self._told_at is not None and moment - self._told_at > FIRES_FOR:
            self._firing, self._over = {}, {}       # all that has ended by itself
        present = cleared | firing
        gone = {labels: entry.ended(moment) for labels, entry in self._firing.items() if labels not in present}
        over = {labels: entry for labels, entry in self._over.items()
                if labels not in present and entry.ends_at > moment - TOLD_FOR}
        # Before it is sent: who takes a part of it and then goes away must hear of the end, too.
        self._firing, self._over = firing, over | gone
        self._send([*present.values(), *self._over.values()])
        self._told_at = moment

    def _entry(self, alert: Mapping[str, Any], ends_at: datetime) -> _Entry:
        labels = _texts({'delfin_id': alert['id'], **{name: alert[name] for name in _LABELS}})
        labels['alertname'] = next((labels[name] for name in _NAMES if name in labels), 'alert')
        annotations = _texts({'occur_time': _time(alert['occur_time']), **{name: alert[name] for name in _ANNOTATIONS}})
        annotations['summary'] = annotations.get('description', labels['alertname'])
        url = f'{self._delfin_url}/v1/alerts/{alert["id"]}' if self._delfin_url else None
        begun = alert['first_seen_at']
        return _Entry(frozenset(labels.items()), annotations, begun, max(begun, ends_at), url)

    def _send(self, entries: Sequence[_Entry]) -> None:
        members = [member for member in self._members if member.awake()] or list(self._members)
        problems: list[str] = []
        for begin in range(0, len(entries), CHUNK):
            body = json.dumps([entry.body() for entry in entries[begin:begin + CHUNK]])
            for member in tuple(members):
                if problem := member.send(body):
                    problems.append(problem)
                    members.remove(member)
            if not members:
                raise DeliveryFailed('; '.join(problems))
        for member in members:
            member.told()


class _Member:
    """One Alertmanager. While it is away it is left alone for a while, so that the others are told in time."""

    def __init__(self, target: Receiver, clock: Callable[[], float]) -> None:
        self._receiver, self._clock = target, clock
        self._failures = 0
        self._rests_until = float('-inf')
        self._refused: str | None = None            # what it said to a part of this round
        self._complained: str | None = None         # what the log says of that

    def awake(self) -> bool:
        return self._clock() >= self._rests_until

    def send(self, body: bytes) -> str | None:
        """What went wrong, if it is of no use to send it more."""
        try:
            self._receiver.post(body, {})
        except EventRefused as error:
            if not error.final:
                return self._failed(str(error))
            self._refused = str(error)      # it has taken what is good in it, and will take the rest
        except DeliveryFailed as error:
            return self._failed(str(error))
        return None

    def told(self) -> None:
        """The round is over and it has heard everything."""
        if self._refused and self._refused != self._complained:     # once, not every minute
            LOG.error('an Alertmanager refuses some alerts: %s', self._refused)
        if self._failures:
            LOG.info('Alertmanager %s is back', self._receiver.name)
        self._failures, self._complained, self._refused = 0, self._refused, None

    def _failed(self, problem: str) -> str:
        self._rests_until = self._clock() + min(_LONGEST_REST_SECONDS, 2.0 ** min(self._failures, 10))
        self._failures += 1
        if self._failures == 1:
            LOG.warning('an Alertmanager cannot be told of alerts: %s', problem)
        return problem


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Those that say something."""
    texts = {name: clean(str(value)).strip() for name, value in values.items() if value is not None}
    return {name: text for name, text in texts.items() if text}


def _time(milliseconds: int | None) -> str | None:
    """RFC 3339; None for what is no time of this era."""
    try:
        return None if milliseconds is None else (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return None
