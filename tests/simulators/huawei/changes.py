# SPDX-License-Identifier: Apache-2.0
"""Objects come and go, and what belongs to them goes with them: no relation is left that points nowhere."""

from __future__ import annotations

from typing import Any

from tests.simulators.huawei.model import INITIATOR_KINDS, SHARE_KINDS, Lun, Model
from tests.simulators.load import WORKLOADS

_GIB = 2**30
_GROUP_OF = {'host': 'host_group', 'lun': 'lun_group', 'fc_port': 'port_group', 'eth_port': 'port_group',
             'fcoe_port': 'port_group'}
_STAY = ('controller', 'pool')      # others hang on them


def add_luns(model: Model, count: int, pool: str | None = None, capacity: int = 10 * _GIB) -> list[Lun]:
    """New thin LUNs that nothing has been written to yet. KeyError for a pool that is not there."""
    with model.changing():
        pool = model.find('pool', pool).id if pool is not None else next(
            item.id for item in model['pool'].values() if item.serves != 'file')
        first = max((int(id) for id in model['lun']), default=-1) + 1
        mark = model.system.wwn[4:12]
        made = [Lun(id=str(number), name=f'neu_{number:05}', description='', pool=pool,
                    controller=next(iter(model['controller'])), wwn=f'6a1b2c31{mark}{number:016x}', capacity=capacity,
                    allocated=0, thin=True, compressed=True, deduplicated=False, block_size=512,
                    workload=WORKLOADS[number % len(WORKLOADS)], iops=100.0)
                for number in range(first, first + count)]
        model['lun'].update((lun.id, lun) for lun in made)
        return made


def remove(model: Model, kind: str, id: str) -> None:
    """An object and all that is part of it. KeyError for one that is not there, ValueError for one that must stay."""
    if kind in _STAY:
        raise ValueError(f'a {kind} cannot be removed')
    with model.changing():
        model.find(kind, id)
        del model[kind][id]
        match kind:
            case 'filesystem':
                for part in ('quota', *SHARE_KINDS, 'qtree'):
                    _drop(model, part, 'filesystem', id)
            case 'qtree':
                for part in ('quota', *SHARE_KINDS):
                    _drop(model, part, 'qtree', id)
            case 'host':
                for initiators in INITIATOR_KINDS:
                    for initiator in model[initiators].values():
                        if initiator.host == id:
                            initiator.host = None
            case 'host_group' | 'lun_group':
                _drop(model, 'mapping_view', kind, id)
            case 'port_group':
                for view in model['mapping_view'].values():
                    if view.port_group == id:
                        view.port_group = None
        if kind in _GROUP_OF:
            gone: Any = (kind, id) if _GROUP_OF[kind] == 'port_group' else id
            for group in model[_GROUP_OF[kind]].values():
                if gone in group.members:
                    group.members.remove(gone)


def _drop(model: Model, kind: str, attribute: str, value: str) -> None:
    for item in [item for item in model[kind].values() if getattr(item, attribute) == value]:
        del model[kind][item.id]
