# SPDX-License-Identifier: Apache-2.0
"""Habits around SSH."""

import os

import paramiko
import six
from delfin import cryptor, exception, utils
from delfin.drivers.utils.ssh_client import SSHPool
from delfin.drivers.utils.tools import Tools
from oslo_log import log

from legacy_vendor_drivers.base import Array

LOG = log.getLogger(__name__)


class PoolExec(Array):
    """Commands with `do_exec`, output taken apart with `Tools` (3.5, 3.7)."""

    MODEL = 'pool_exec'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ssh_pool = SSHPool(**kwargs)
        self.ssh_pool.do_exec('cat version')

    def list_volumes(self, context):
        found = []
        Tools.split_value_map_list(self.ssh_pool.do_exec('cat volumes'), found)
        return [self.volume(item['VolumeID'], total_capacity=Tools.get_capacity_size(item['Size'])) for item in found]


class PoolItem(Array):
    """Works with the connection itself: `item`, and `get` with `put` (3.7)."""

    MODEL = 'pool_item'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ssh_pool = SSHPool(**kwargs)

    def list_volumes(self, context):
        try:
            with self.ssh_pool.item() as ssh:
                utils.check_ssh_injection('cat volumes')
                stdin, stdout, stderr = ssh.exec_command('cat volumes')
                lines = stdout.read().decode('utf-8').splitlines()
        except Exception as e:
            raise exception.StorageBackendException(six.text_type(e))
        return [self.volume(line.split(': ')[1]) for line in lines if line.startswith('Volume ID')]

    def list_disks(self, context):
        ssh = self.ssh_pool.get()
        try:
            assert isinstance(ssh, paramiko.SSHClient)
            ssh.exec_command('true')[1].read()
        finally:
            self.ssh_pool.put(ssh)
        return [self.disk()]


class ShellPool(SSHPool):
    """A pool with logins and shells of its own."""

    def create(self):
        ssh = paramiko.SSHClient()
        if self.ssh_pub_key is None:
            ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        else:
            self.set_host_key('%s %s %s' % (self.ssh_host, self.ssh_pub_key_type, self.ssh_pub_key), ssh)
        ssh.connect(hostname=self.ssh_host, port=self.ssh_port, username=self.ssh_username,
                    password=cryptor.decode(self.ssh_password), timeout=self.ssh_conn_timeout)
        if self.conn_timeout:
            ssh.get_transport().set_keepalive(self.SOCKET_TIMEOUT)
        return ssh


class OwnPool(Array):
    """Its pool has a `create` of its own; commands go through an interactive shell (3.7)."""

    MODEL = 'own_pool'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ssh_pool = ShellPool(**kwargs)

    def list_volumes(self, context):
        text = self.ssh_pool.do_exec_shell(['cat volumes'], 0.1)
        return [self.volume(line.split(': ')[1].strip()) for line in text.splitlines() if line.startswith('Volume ID')]


class ScratchFiles(Array):
    """Copies files of statistics into a folder below the working directory and reads them there (3.5)."""

    MODEL = 'scratch_files'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ssh_pool = SSHPool(**kwargs)

    def list_volumes(self, context):
        folder = '%s/delfin/drivers/utils/performance_file/svc/' % os.getcwd()
        with open(folder + 'own_scratch', 'w') as f:
            f.write('a')
        os.remove(folder + 'own_scratch')
        remote = self.ssh_pool.do_exec('pwd').strip()
        with self.ssh_pool.item() as ssh:
            root = Tools.get_remote_file_to_xml(ssh, 'Nv_stats_node1_240214_102030', folder, remote)
        if root is None or os.listdir(folder):
            raise exception.InvalidResults('no statistics, or they were left behind')
        return [self.volume(element.attrib['id']) for element in root]
