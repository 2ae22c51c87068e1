# SPDX-License-Identifier: Apache-2.0
"""Objects come and go, and what belongs to them goes with them: no relation is left that points nowhere."""

from __future__ import annotations

from tests.simulators.ibm.model import Copy, Model, Volume
from tests.simulators.load import WORKLOADS

_GIB = 2**30
_REMOVABLE = ('volume', 'host', 'host_cluster', 'volume_group', 'mapping')      # on the others, others hang


def add_volumes(model: Model, count: int, pool: str | None = None, capacity: int = 10 * _GIB) -> list[Volume]:
    """New thin volumes that nothing has been written to yet. KeyError for a pool that is not there."""
    with model.changing():
        pool = model.find('pool', pool).id if pool is not None else next(iter(model['pool']))
        first = max((int(id) for id in model['volume']), default=-1) + 1
        made = [Volume(
            id=str(number), name=f'new_{number:05}', uid=f'60050768{model.system.id[8:]}{number:016X}',
            capacity=capacity, node=model.config_node.id, workload=WORKLOADS[number % len(WORKLOADS)], iops=100.0,
            copies=[Copy('0', pool, True, 0, 32 * 2**20, True, False, False)])
            for number in range(first, first + count)]
        model['volume'].update((volume.id, volume) for volume in made)
        return made


def remove(model: Model, kind: str, id: str) -> None:
    """An object and all that is part of it. KeyError for one that is not there, ValueError for one that must stay."""
    if kind not in _REMOVABLE:
        raise ValueError(f'a {kind} cannot be removed')
    with model.changing():
        model.find(kind, id)
        del model[kind][id]
        if kind in ('volume', 'host'):
            for mapping in [one for one in model['mapping'].values() if getattr(one, kind) == id]:
                del model['mapping'][mapping.id]
        for other, attribute in {'host_cluster': [('host', 'cluster')], 'volume_group': [('volume', 'group')]}.get(
                kind, []):
            for item in model[other].values():
                if getattr(item, attribute) == id:
                    setattr(item, attribute, None)
        if kind == 'host_cluster':
            for mapping in [one for one in model['mapping'].values() if one.shared]:
                mapping.shared = model['host'][mapping.host].cluster is not None
