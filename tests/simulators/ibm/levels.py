# SPDX-License-Identifier: Apache-2.0
"""In what code levels and products differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """A product with a code level.

    `code` is the whole value of code_level. `prefixed`: commands are known only behind `mcsinq` and `mcsop` (and not
    behind `svcinfo` and `svctask`). `missing` commands are not found; those of `no_bytes` refuse -bytes. `sftp`:
    whether there is that subsystem; scp always works. `without` are columns and keys that came later. `stat_types` are
    the kinds of statistics files. `raw_control_characters` writes names with line breaks as they are.
    """

    name: str
    product: str
    code: str
    machine_type: str = '2076524'
    vendor_number: str = '1.3.6.1.4.1.2.6'      # under which traps stand
    lsnode: bool = True
    lsnodecanister: bool = True
    lsportip: bool = True
    prefixed: bool = False
    sftp: bool = True
    without: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    no_bytes: frozenset[str] = frozenset()
    stat_types: tuple[str, ...] = ('Nd', 'Nm', 'Nn', 'Nv')
    raw_control_characters: bool = False

    @property
    def deduplication(self) -> bool:
        """Whether copies say if they are deduplicated."""
        return 'deduplicated_copy' not in self.without

    def lacks(self, command: str) -> bool:
        """Whether a command is not there."""
        has = {'lsnode': self.lsnode, 'lsnodehw': self.lsnode, 'lsnodecanister': self.lsnodecanister,
               'lsnodecanisterhw': self.lsnodecanister, 'lsportip': self.lsportip,
               'lsportethernet': not self.lsportip, 'lsip': not self.lsportip}
        return command in self.missing or not has.get(command, True)


# What 8.1 and later brought, data reduction among it.
_LATER = frozenset({
    'deduplicated_copy', 'data_reduction', 'used_capacity_before_reduction', 'used_capacity_after_reduction',
    'protocol', 'owner_id', 'owner_name', 'volume_id', 'volume_name', 'function', 'dedupe', 'distributed',
    'auto_manage'})

V7_8 = Level('7.8', 'IBM Storwize V7000', '7.8.1.11 (build 135.9.1912100725000)', lsnode=False, sftp=False,
             without=_LATER, missing=frozenset({'lsvolumegroup'}))
V8_3 = Level('8.3', 'IBM Storwize V7000', '8.3.1.2 (build 150.24.2008101830000)',
             missing=frozenset({'lsvolumegroup'}))
V8_5 = Level('8.5', 'IBM FlashSystem 9200', '8.5.0.6 (build 157.12.2208251126000)', '9848AG8', lsnode=False,
             lsportip=False, stat_types=('Nd', 'Ng', 'Nm', 'Nn', 'Nv'))
V8_7 = Level('8.7', 'IBM FlashSystem 7300', '8.7.0.1 (build 169.4.2407121134000)', '4657924', lsportip=False,
             stat_types=('Nd', 'Ng', 'Nh', 'Nm', 'Nn', 'Nv'))
INSPUR = Level('inspur', 'AS5500G2', '7.8.1.8 (build 135.9.1)', '2076524', lsnode=False, prefixed=True, sftp=False,
               without=_LATER, missing=frozenset({'lsvolumegroup'}), vendor_number='1.3.6.1.4.1.37945')

BY_NAME = {level.name: level for level in (V7_8, V8_3, V8_5, V8_7, INSPUR)}
