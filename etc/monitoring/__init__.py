# SPDX-License-Identifier: Apache-2.0
"""Makes dashboards of Grafana, rules of Prometheus and the table of alerts in the documentation out of tables.

`python -m etc.monitoring` writes the files after a change of `dashboards.py` or `rules.py`; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etc.monitoring import dashboards, grafana, rules

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDE: Final = Path('docs', 'metrics-in-prometheus.md')

_TABLE = re.compile(r'(<!-- alerts of (delfin-[a-z]+) -->\n)(?:\|.*\n)*')


def files() -> Iterator[tuple[Path, str]]:
    """Every file that is made, below the checkout, and its text."""
    for dashboard in dashboards.DASHBOARDS:
        yield Path('etc', 'grafana', f'{dashboard.uid}.json'), grafana.written(dashboard)
    yield Path('etc', 'prometheus', 'delfin.rules.yml'), rules.written(rules.GROUPS)
    tables = {group.name: rules.table(group) for group in rules.GROUPS}
    yield GUIDE, _TABLE.sub(lambda found: found[1] + tables[found[2]], (ROOT / GUIDE).read_text(encoding='utf-8'))
