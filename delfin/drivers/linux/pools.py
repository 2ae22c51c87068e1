# SPDX-License-Identifier: Apache-2.0
"""What belongs to which pool, over the three sources LVM, md and btrfs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from delfin.drivers.linux import btrfs, lvm, md
from delfin.drivers.linux.block import Tree
from delfin.drivers.linux.mounts import Mount

FILES = (*md.FILES, *btrfs.FILES, *lvm.FILES)


class Pools:
    """The pools that everybody can see, from the contents of `FILES`; `arrays` and `filesystems` are None where the
    kernel does not know the source.
    """

    def __init__(self, files: Mapping[str, str], tree: Tree) -> None:
        self.arrays = md.arrays(files)
        self.filesystems = btrfs.filesystems(files)
        self.active_volumes = lvm.active_volumes(files)
        self.array_ids = md.native_ids(self.arrays or (), files, tree)
        self._files = files
        self._tree = tree

    @property
    def of_volumes(self) -> dict[str, str]:
        """Kernel names of the devices that are carved out of pools, to pool ids."""
        return self.array_ids | {volume.kname: volume.group_uuid for volume in self.active_volumes}

    @property
    def spares(self) -> frozenset[str]:
        """Kernel names of devices that wait in arrays for another one to fail."""
        return frozenset(kname for array in self.arrays or () for kname in array.spares)

    def of_members(self, physical_volumes: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
        """Kernel names of the devices that pools are made of, to pool ids.

        `physical_volumes` is the report of `pvs`; None if it could not look: then the active volumes on a device tell
        which group it is in.
        """
        members = {member.kname: self.array_ids[array.name] for array in self.arrays or () for member in array.members
                   if not member.failed}
        members |= {kname: found.uuid for found in self.filesystems or () for kname in found.devices}
        if physical_volumes is None:
            groups = {volume.kname: volume.group_uuid for volume in self.active_volumes}
            members |= {device.kname: groups[child.kname] for device in self._tree.by_kname.values()
                        for child in device.children if child.kname in groups and device.kname not in groups}
            return members
        for volume in physical_volumes:
            device = self._tree.by_path.get(volume.get('pv_name', ''))
            if device is not None and volume.get('vg_uuid'):
                members[device.kname] = volume['vg_uuid']
        return members

    def of_mount(self, mount: Mount) -> str | None:
        """Id of the pool that a mounted filesystem is on, or is."""
        if mount.fstype == 'btrfs':
            kname = mount.source.rpartition('/')[2]
            return next((found.uuid for found in self.filesystems or ()
                         if found.uuid == mount.uuid or kname in found.devices), None)
        device = self._tree.by_number.get(mount.number)
        return self._tree.pool_below(device.kname, self.of_volumes) if device is not None else None

    def array_rows(self) -> list[dict[str, Any]]:
        """Rows of the md arrays."""
        return md.pool_rows(self.arrays or (), self._files, self.array_ids)
