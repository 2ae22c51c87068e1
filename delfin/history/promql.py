# SPDX-License-Identifier: Apache-2.0
"""Metrics read back from where they were exported to: any server that answers as Prometheus does."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

from oslo_config import cfg

from delfin import exception
from delfin.common import json
from delfin.exporter import receiver
from delfin.exporter.base_exporter import DeliveryFailed
from delfin.exporter.prometheus.names import NAMES, Family, Names
from delfin.exporter.receiver import Receiver
from delfin.history import Query, Series, fits, ordered
from delfin.metrics import METRICS

MOST_STEPS: Final = 11_000          # of one series; Prometheus refuses more

_OPTION = '[history] prometheus_url'
_MOST_BYTES = 32 << 20              # of an answer: the most points, and labels as long as they can be
_METRIC = 'delfin_metric'           # the label that tells our name of a metric in an answer


def reader(conf: cfg.ConfigOpts) -> PrometheusReader | None:
    """The server that is configured; None if there is none."""
    if not conf.history.prometheus_url:
        return None
    return PrometheusReader.create(conf, NAMES[conf.prometheus.names]())


class PrometheusReader:
    """Asks one server. A point's unit is that of drivers again."""

    def __init__(self, query: Receiver, query_range: Receiver, names: Names) -> None:
        self._query, self._query_range, self._names = query, query_range, names

    @classmethod
    def create(cls, conf: cfg.ConfigOpts, names: Names) -> Self:
        """With the options of [history]; `InvalidConfiguration` says what is wrong with them."""
        options = conf.history
        headers = receiver.credentials(options, 'history')
        url = receiver.read_url(options.prometheus_url, _OPTION)
        if url.query:
            raise exception.InvalidConfiguration(f'{_OPTION} must be a base URL, without a query')
        receiver.check_way(url, headers, _OPTION)
        base = options.prometheus_url.rstrip('/').removesuffix('/api/v1')
        query, query_range = (
            Receiver(f'{base}/api/v1/{call}', timeout_seconds=options.timeout_seconds, ca_file=options.ca_file,
                     headers=headers, content_type='application/x-www-form-urlencoded')
            for call in ('query', 'query_range'))
        return cls(query, query_range, names)

    def query(self, wanted: Query) -> list[Series]:
        """See `Reader.query`. Without `metrics` those that Delfin knows; vendors' own must be named."""
        families = dict(self._families(wanted))
        if not families:
            return []
        selector = _selector(wanted)
        if wanted.step_ms is None:
            # The points themselves, from behind the first moment to the last one.
            names = '|'.join(re.escape(family.name) for family in families.values())
            text = f'{{__name__=~{_quoted(names)},{selector}}}[{wanted.end_ms - wanted.start_ms}ms]'
            server, form = self._query, {'query': text, 'time': _seconds(wanted.end_ms - 1)}
        else:
            if wanted.buckets(wanted.step_ms) > MOST_STEPS:
                raise wanted.too_much(1)
            # A mean is that of the time before a moment, here the last one of the bucket.
            parts = [f'label_replace(avg_over_time({family.name}{{{selector}}}[{wanted.step_ms}ms]), '
                     f'{_quoted(_METRIC)}, {_quoted(metric)}, "", "")' for metric, family in families.items()]
            server, form = self._query_range, {
                'query': ' or '.join(parts), 'start': _seconds(wanted.begin_ms + wanted.step_ms - 1),
                'end': _seconds(wanted.finish_ms - 1), 'step': _seconds(wanted.step_ms)}
        body = _ask(server, form)
        try:
            found = ordered(_read(json.loads(body), wanted, families))
        except (LookupError, TypeError, ValueError, AttributeError):
            raise exception.ServiceUnavailable(f'{_OPTION}: {server.name} does not answer as Prometheus does') from None
        if not fits(len(found), sum(len(series.points) for series in found)):
            raise wanted.too_much(len(found))
        return found

    def _families(self, wanted: Query) -> Iterator[tuple[str, Family]]:
        for metric in wanted.metrics or METRICS:
            unit = METRICS[metric].unit if metric in METRICS else ''
            family = self._names.family(wanted.resource_type, metric, unit)
            if family is not None:
                yield metric, family


def _ask(server: Receiver, form: Mapping[str, str]) -> bytes:
    """The answer; whatever is wrong with the server is `ServiceUnavailable`."""
    try:
        body = server.ask(urlencode(form).encode('ascii'), _MOST_BYTES)
    except DeliveryFailed as error:
        raise exception.ServiceUnavailable(f'{_OPTION}: {error}') from None
    if len(body) >= _MOST_BYTES:
        raise exception.InvalidInput('The answer would be too long; ask for a longer step, a shorter time, or name '
                                     'resources (resource_id).')
    return body


def _read(answer: Any, wanted: Query, families: Mapping[str, Family]) -> list[Series]:
    """The series of a matrix, converted back; one of many errors for anything else."""
    if answer['status'] != 'success' or answer['data']['resultType'] != 'matrix':
        raise ValueError
    metric_of = {family.name: metric for metric, family in families.items()}
    back = (wanted.step_ms or 1) - 1        # from the end of a bucket to its beginning
    found = []
    for row in answer['data']['result']:
        labels = row['metric']
        metric = labels.get(_METRIC) or metric_of[labels['__name__']]
        family = families[metric]
        points = [(moment, value * family.per / family.times) for moment, value in (
            (round(float(at) * 1000) - back, float(text)) for at, text in row['values'])
            if math.isfinite(value) and wanted.begin_ms <= moment < wanted.end_ms]
        unit = METRICS[metric].unit if metric in METRICS else labels.get('unit')
        found.append(Series(wanted.resource_type, labels['resource_id'], labels.get('resource_name'), metric, unit,
                            points))
    return found


def _selector(wanted: Query) -> str:
    """Labels between braces: of the storage, and of the resources."""
    selector = f'storage_id={_quoted(wanted.storage_id)}'
    if wanted.resource_ids:
        selector += f',resource_id=~{_quoted("|".join(map(re.escape, wanted.resource_ids)))}'
    return selector


def _quoted(text: str) -> str:
    """A string of PromQL, which has the escapes of JSON."""
    return json.text(text)


def _seconds(milliseconds: int) -> str:
    return f'{milliseconds // 1000}.{milliseconds % 1000:03}'
