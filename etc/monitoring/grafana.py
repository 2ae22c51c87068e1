# SPDX-License-Identifier: Apache-2.0
"""Dashboards as Grafana 10 and newer import them, made of a few words for each panel.

Which words Grafana knows: its documentation, "Dashboard JSON model"; units are those of its list of units.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

SCHEMA_VERSION: Final = 38      # of Grafana 10.0; newer ones migrate it
TAG: Final = 'delfin'

_COLUMNS: Final = 24
_SOURCE: Final = {'type': 'prometheus', 'uid': '${datasource}'}
_BASE: Final = 'text'           # the colour below the first threshold
_LETTERS: Final = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called (`{{label}}` is replaced)."""

    expression: str
    legend: str = ''


@dataclass(frozen=True, slots=True)
class Link:
    """To another dashboard; `variables` there get the values of these labels here."""

    uid: str
    title: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table: a label, or `A`, `B`, … for the value of a query. Without a title it is hidden."""

    name: str
    title: str = ''
    unit: str = ''
    link: Link | None = None
    steps: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """`kind` is a type of Grafana: timeseries, stat, bargauge, table. All but time series show the latest values.

    Of a table with several queries those rows become one that have the same labels: each has to be an aggregation, for
    the name of a metric is a label, too.
    """

    kind: str
    title: str
    queries: Sequence[Query]
    unit: str = 'short'
    width: int = 8
    height: int = 8
    description: str = ''
    steps: Sequence[tuple[float, str]] = ()     # from this value on this colour
    most: float | None = None                   # the end of the scale
    stacked: bool = False
    shows: str = 'auto'                         # of a stat: value, name, …
    columns: Sequence[Column] = ()
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A heading; what follows stands below it."""

    title: str


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose, out of the series of an expression: `value` is the label that expressions are given, `text`
    the one that people see. With `several` there is "all", too.
    """

    name: str
    title: str
    expression: str
    value: str
    text: str
    several: bool = True

    @property
    def pattern(self) -> str:
        """The regular expression (of JavaScript, between slashes) that takes both out of a series as Grafana writes it.
        Labels stand in the order of names there.
        """
        return f'/{self.value}="(?<value>[^"]+)"(?:.*{self.text}="(?<text>[^"]+)")?/'


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose out of a few values; the second is chosen at first."""

    name: str
    title: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page. Panels flow from left to right and begin a new line where there is no room."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable | Choice]
    contents: Sequence[Panel | Row]
    hours: int = 24         # shown at first


def written(dashboard: Dashboard) -> str:
    """The file."""
    return json.dumps(_dashboard(dashboard), indent=2, ensure_ascii=False) + '\n'


def _dashboard(dashboard: Dashboard) -> Json:
    return {
        'uid': dashboard.uid,
        'title': dashboard.title,
        'description': dashboard.description,
        'tags': [TAG],
        'schemaVersion': SCHEMA_VERSION,
        'version': 1,
        'editable': True,
        'graphTooltip': 1,      # one cross-hair for all panels
        'refresh': '1m',
        'time': {'from': f'now-{dashboard.hours}h', 'to': 'now'},
        'timezone': '',
        'links': [{'type': 'dashboards', 'title': 'Delfin', 'tags': [TAG], 'asDropdown': False, 'includeVars': True,
                   'keepTime': True, 'targetBlank': False, 'icon': 'external link', 'tooltip': '', 'url': ''}],
        'annotations': {'list': []},
        'templating': {'list': [_source(), *map(_variable, dashboard.variables)]},
        'panels': list(_panels(dashboard.contents)),
    }


# --- what there is to choose ---

def _source() -> Json:
    return {'type': 'datasource', 'name': 'datasource', 'label': 'Data source', 'query': 'prometheus', 'regex': '',
            'refresh': 1, 'hide': 0, 'multi': False, 'includeAll': False, 'options': [], 'current': {}}


def _variable(variable: Variable | Choice) -> Json:
    common = {'name': variable.name, 'label': variable.title, 'hide': 0, 'skipUrlSync': False}
    if isinstance(variable, Choice):
        options = [{'text': value, 'value': value, 'selected': at == 1} for at, value in enumerate(variable.values)]
        return {**common, 'type': 'custom', 'query': ','.join(variable.values), 'multi': False, 'includeAll': False,
                'options': options, 'current': options[1]}
    query = f'query_result({variable.expression})'
    made = {**common, 'type': 'query', 'datasource': _SOURCE, 'definition': query, 'regex': variable.pattern,
            'query': {'qryType': 3, 'query': query, 'refId': 'PrometheusVariableQueryEditor-VariableQuery'},
            'refresh': 2,       # with the range of time
            'sort': 5,          # by name, whatever the case
            'multi': variable.several, 'includeAll': variable.several, 'options': [], 'current': {}}
    if variable.several:
        made |= {'allValue': '.*', 'current': {'text': ['All'], 'value': ['$__all'], 'selected': True}}
    return made


# --- panels ---

def _panels(contents: Sequence[Panel | Row]) -> Iterator[Json]:
    x = y = lowest = 0
    for number, item in enumerate(contents, start=1):
        width, height = (_COLUMNS, 1) if isinstance(item, Row) else (item.width, item.height)
        if x + width > _COLUMNS:
            x, y = 0, lowest
        place = {'id': number, 'gridPos': {'x': x, 'y': y, 'w': width, 'h': height}}
        x, lowest = x + width, max(lowest, y + height)
        if isinstance(item, Row):
            yield {**place, 'type': 'row', 'title': item.title, 'collapsed': False, 'panels': []}
        else:
            yield {**place, **_panel(item)}


def _panel(panel: Panel) -> Json:
    defaults: Json = {'unit': panel.unit, 'thresholds': _thresholds(panel.steps),
                      'color': {'mode': _colour(panel)}, 'links': [_link(panel.link)] if panel.link else []}
    if panel.most is not None:
        defaults |= {'min': 0, 'max': panel.most}
    if panel.kind == 'timeseries':
        defaults |= {'min': 0, 'custom': _drawing(panel)}
    overrides = [_column(column, panel) for column in panel.columns]
    made = {
        'type': panel.kind,
        'title': panel.title,
        'description': panel.description,
        'datasource': _SOURCE,
        'fieldConfig': {'defaults': defaults, 'overrides': overrides},
        'options': {**_OPTIONS[panel.kind], **({'textMode': panel.shows} if panel.kind == 'stat' else {})},
        'targets': [_target(letter, query, panel.kind) for letter, query in zip(_LETTERS, panel.queries, strict=False)],
    }
    if panel.kind == 'table':
        order = {_field(column.name, panel): at for at, column in enumerate(panel.columns)}
        made['transformations'] = [
            {'id': 'merge', 'options': {}},
            {'id': 'organize', 'options': {'excludeByName': {'Time': True}, 'indexByName': order, 'renameByName': {}}}]
    return made


_LATEST: Final = {'calcs': ['lastNotNull'], 'fields': '', 'values': False}
_OPTIONS: Final[Mapping[str, Json]] = {
    'timeseries': {'legend': {'displayMode': 'list', 'placement': 'bottom', 'showLegend': True, 'calcs': []},
                   'tooltip': {'mode': 'multi', 'sort': 'desc'}},
    'stat': {'reduceOptions': _LATEST, 'colorMode': 'value', 'graphMode': 'none', 'justifyMode': 'auto',
             'orientation': 'auto'},
    'bargauge': {'reduceOptions': _LATEST, 'displayMode': 'lcd', 'orientation': 'horizontal', 'showUnfilled': True,
                 'valueMode': 'color', 'minVizHeight': 16, 'minVizWidth': 8},
    'table': {'showHeader': True, 'cellHeight': 'sm', 'footer': {'show': False, 'fields': '', 'reducer': ['sum']}},
}


def _colour(panel: Panel) -> str:
    return 'palette-classic' if panel.kind == 'timeseries' else 'thresholds'


def _drawing(panel: Panel) -> Json:
    return {'drawStyle': 'line', 'lineWidth': 1, 'fillOpacity': 25 if panel.stacked else 0, 'showPoints': 'auto',
            'spanNulls': False, 'stacking': {'mode': 'normal' if panel.stacked else 'none', 'group': 'A'},
            'thresholdsStyle': {'mode': 'line' if panel.steps else 'off'}}


def _thresholds(steps: Sequence[tuple[float, str]]) -> Json:
    return {'mode': 'absolute', 'steps': [{'value': None, 'color': _BASE},
                                          *({'value': value, 'color': colour} for value, colour in steps)]}


def _target(letter: str, query: Query, kind: str) -> Json:
    latest = kind != 'timeseries'
    return {'refId': letter, 'datasource': _SOURCE, 'expr': query.expression, 'legendFormat': query.legend or '__auto',
            'editorMode': 'code', 'instant': latest, 'range': not latest,
            'format': 'table' if kind == 'table' else 'time_series'}


def _field(name: str, panel: Panel) -> str:
    """What a column is called before it gets its title."""
    if name not in _LETTERS[:len(panel.queries)]:
        return name
    return 'Value' if len(panel.queries) == 1 else f'Value #{name}'


def _column(column: Column, panel: Panel) -> Json:
    properties: list[Json] = []
    if column.title:
        properties.append({'id': 'displayName', 'value': column.title})
    else:
        properties.append({'id': 'custom.hidden', 'value': True})
    if column.unit:
        properties.append({'id': 'unit', 'value': column.unit})
    if column.link:
        properties.append({'id': 'links', 'value': [_link(column.link, 'data.fields')]})
    if column.steps:
        properties += [{'id': 'thresholds', 'value': _thresholds(column.steps)},
                       {'id': 'custom.cellOptions', 'value': {'type': 'color-text'}}]
    return {'matcher': {'id': 'byName', 'options': _field(column.name, panel)}, 'properties': properties}


def _link(link: Link, labels: str = 'field.labels') -> Json:
    """In a table the labels of a row are its fields."""
    variables = ''.join(f'&var-{quote(name)}=${{__{labels}.{label}}}' for name, label in link.variables.items())
    return {'title': link.title, 'targetBlank': False,
            'url': f'/d/{link.uid}?${{__url_time_range}}&var-datasource=${{datasource}}{variables}'}
