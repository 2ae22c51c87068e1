# SPDX-License-Identifier: Apache-2.0
"""What numbers of the REST interface mean that are not a column's: errors, states of accounts, types of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delfin import exception
from delfin.drivers import kit


class BadParameter(exception.StorageBackendException):
    """The array does not know something in a request: older releases have fewer."""


_LOGIN: Final = exception.InvalidUsernameOrPassword
_REFUSED: Final = exception.InvalidCredential

# error.code of an answer; what to do about it goes into the message, behind the array's own words. Other codes mean
# that the array has no such resource, or will not do what was asked.
ERRORS: Final[Mapping[int | str, Any]] = {
    -401: kit.SessionExpired,
    1077949069: kit.SessionExpired,             # user is offline
    1077949061: _LOGIN,                         # wrong user name or password
    1077987870: _LOGIN,                         # the same from V6 on; the text has the attempts that are left
    1077949081: _LOGIN,                         # the same, or a name that LDAP has as well
    1077949070: (_REFUSED, 'The account is locked: unlock it in DeviceManager, or wait.'),
    1077987871: (_REFUSED, 'The account is locked: unlock it in DeviceManager, or wait.'),
    1077949071: (_REFUSED, 'The address of this machine is locked: unlock it in DeviceManager, or wait.'),
    1077949067: (exception.StorageMaxUserCountException,
                 'All sessions of the array are in use: end some in DeviceManager.'),
    1077949006: kit.ArrayBusy,                  # system busy
    1077948995: kit.ArrayBusy,                  # out of memory now
    1077949001: kit.ArrayBusy,                  # internal message timed out
    1077949004: kit.ArrayBusy,                  # process busy
    1077949021: (exception.StorageBackendException, 'The array is being upgraded: Delfin goes on when that is over.'),
    1077948996: kit.NotThere,                   # object does not exist
    1077939726: kit.NotThere,                   # LUN does not exist
    1077950233: kit.NotThere,                   # feature not licensed
    1073806606: kit.NotThere,                   # feature not licensed
    50331651: BadParameter,
}

# accountstate of a login with which one does not get on: why, and what to do. With all others one does (1 normal,
# 2 normal, 5 the password is about to expire, 6 to be changed at the next login, 7 it never expires).
ACCOUNT_STATES: Final[Mapping[str, str]] = {
    '3': 'the password has expired: change it in DeviceManager, then give the new one',
    '4': 'the password is an initial one: change it in DeviceManager, then give the new one',
    '8': 'the login needs a code from an e-mail: use an account without',
    '9': 'the account has to be initialised: log in to DeviceManager with it once',
    '10': 'the login needs a one-time password of RADIUS: use an account without',
    '11': 'the login needs an answer to RADIUS: use an account without',
}

# TYPE and PARENTTYPE of objects.
DISK, LUN, HOST_GROUP, HOST, FILESYSTEM = 10, 11, 14, 21, 40
CONTROLLER, FC_PORT, ETHERNET_PORT, SAS_PORT, POOL = 207, 212, 213, 214, 216
PCIE_PORT, BOND_PORT, FCOE_PORT, LUN_GROUP, PORT_GROUP, QUOTA_TREE = 233, 235, 252, 256, 257, 16445

# Resources that models lack: whatever the array says of one of these in place of a list, there is none. Refusals of
# all others are errors.
OPTIONAL: Final = frozenset({
    '/fcoe_port', '/pcie_port', '/bond_port', '/sas_port', '/ib_initiator', '/filesystem', '/quotatree', '/FS_QUOTA',
    '/CIFSHARE', '/NFSHARE', '/FTP_SHARE_AUTH_CLIENT', '/fcoe_port/associate'})
