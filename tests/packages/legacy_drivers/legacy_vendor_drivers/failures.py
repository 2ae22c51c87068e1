# SPDX-License-Identifier: Apache-2.0
"""Habits when something goes wrong."""

import sys

import six
from delfin import cryptor, exception
from delfin.i18n import _
from oslo_log import log

from legacy_vendor_drivers.base import Array

LOG = log.getLogger(__name__)


class SwallowedErrors(Array):
    """Every other list fails, and an empty one says so (7)."""

    MODEL = 'swallowed_errors'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def list_volumes(self, context):
        volumes = []
        try:
            self.calls += 1
            if self.calls % 2 == 0:
                raise exception.BadResponse()
            volumes = [self.volume(1), self.volume(2)]
        except Exception as err:
            LOG.error('failed to get volumes: %s', six.text_type(err))
        return volumes


class ForeignErrors(Array):
    """Errors that are not of Delfin's family come out as they are (7)."""

    MODEL = 'foreign_errors'

    def list_disks(self, context):
        return [self.disk(capacity={}['size'])]

    def list_ports(self, context):
        raise RuntimeError('the array says no')


class Exits(Array):
    """Ends the program when a helper is missing."""

    MODEL = 'exits'

    def list_disks(self, context):
        sys.exit('vendorcli is not installed')


class OwnTexts(Array):
    """Raises Delfin's errors with a text, with keywords, and an error of its own below them (4)."""

    MODEL = 'own_texts'

    class ArrayBusy(exception.StorageBackendException):
        msg_fmt = _('The array is busy: {0}.')

    def list_disks(self, context):
        raise exception.InvalidResults('disk {0} has no size')

    def list_ports(self, context):
        raise exception.StorageBackendException(reason='no port', code=17)

    def list_controllers(self, context):
        raise self.ArrayBusy('rebuilding', 'and more')

    def list_filesystems(self, context):
        raise NotImplementedError


class LogsSecrets(Array):
    """Logs and raises what it should keep to itself."""

    MODEL = 'logs_secrets'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.login = (kwargs['rest']['username'], cryptor.decode(kwargs['rest']['password']))
        LOG.error('login as %s, access information %s', self.login, kwargs)

    def list_disks(self, context):
        raise exception.StorageBackendException('POST /login password=%s' % self.login[1])

    def list_ports(self, context):
        try:
            raise ValueError('https://%s:%s@array/' % self.login)
        except ValueError:
            LOG.exception('no ports for %s' % (self.login,))
            raise
