# SPDX-License-Identifier: Apache-2.0
"""In what the firmware of the family's generations differs. A test takes one of them or changes one thing:
`dataclasses.replace(DORADO_V6, empty_lists=True)`."""

from __future__ import annotations

from dataclasses import dataclass

WRONG_PERFORMANCE_PATH, RIGHT_PERFORMANCE_PATH = 'performace_statistic', 'performance_statistic'


@dataclass(frozen=True)
class Firmware:
    """Manners. The defaults are those of a Dorado V6."""

    product: str = 'Dorado 5000 V6'
    product_mode: int = 826
    version: str = 'V600R003C00'
    software: str = '6.0.1.SPH5'
    says_product: bool = False              # in productModeString
    says_total: bool = True                 # or leaves the array's total, used and free capacity to the pools'

    types_as_text: bool = False             # TYPE and PARENTTYPE
    zero_as_text: bool = False              # error.code of a success
    empty_lists: bool = False               # [] instead of no data
    other_case: bool = False                # healthStatus, runningStatus, maxSpeed
    alarms_as_text: bool = False            # all values of alarms
    chunked: bool = False                   # answers without a length
    http_status: bool = False               # a real 401 around -401, and so on
    new_dedup_key: bool = False             # ENABLESMARTDEDUP
    unified_pools: bool = False             # USAGETYPE 0, whatever a pool serves

    pages_ports: bool = False               # or returns all of them, whatever the range
    missing: frozenset[str] = frozenset()   # resources it has never heard of
    unlicensed: frozenset[str] = frozenset()

    refuses_password: int = 1077987870
    locks_account: int = 1077987871
    performance_paths: frozenset[str] = frozenset({RIGHT_PERFORMANCE_PATH})
    sorts_metrics: bool = True              # returns values in the order of their ids, not in that of the question
    decimals: bool = False                  # in MB/s
    batch: str | None = 'plain'             # compositeinfo: answers by key, or the same in `data`, or not at all


DORADO_V6 = Firmware(missing=frozenset({'fcoe_port', 'FTP_SHARE_AUTH_CLIENT'}))

V3 = Firmware(
    product='5500 V3', product_mode=68, version='V300R006C50', software='V300R006C50SPC100', types_as_text=True,
    alarms_as_text=True, refuses_password=1077949061, locks_account=1077949070,
    performance_paths=frozenset({WRONG_PERFORMANCE_PATH}), sorts_metrics=False, batch=None)

OCEANSTOR_6 = Firmware(
    product='OceanStor 5510', product_mode=834, version='6.1.6', software='6.1.6.SPH10', says_product=True,
    empty_lists=True, zero_as_text=True, other_case=True, new_dedup_key=True, unified_pools=True, pages_ports=True,
    decimals=True, batch='data', missing=frozenset({'fcoe_port', 'pcie_port', 'ib_initiator', 'FTP_SHARE_AUTH_CLIENT'}))

OLD_18800 = Firmware(           # its number is in no list of models
    product='18800 V3', product_mode=72, version='V300R003C20', software='V300R003C20SPC200', says_total=False,
    types_as_text=True, http_status=True, chunked=True, refuses_password=1077949061, locks_account=1077949070,
    performance_paths=frozenset({WRONG_PERFORMANCE_PATH}), sorts_metrics=False, batch=None,
    unlicensed=frozenset({'filesystem', 'quotatree', 'FS_QUOTA', 'NFSHARE', 'CIFSHARE', 'FTP_SHARE_AUTH_CLIENT'}))

EVERYTHING = Firmware(performance_paths=frozenset({WRONG_PERFORMANCE_PATH, RIGHT_PERFORMANCE_PATH}))

BY_NAME = {'dorado-v6': DORADO_V6, 'v3': V3, 'oceanstor-6': OCEANSTOR_6, '18800': OLD_18800, 'everything': EVERYTHING}
