# SPDX-License-Identifier: Apache-2.0
"""An array that is one JSON document behind HTTPS and a basic login; all of TLS is the REST client's affair."""

from delfin import cryptor
from delfin.drivers.driver import StorageDriver
from delfin.drivers.utils.rest_client import RestClient


class TlsDriver(StorageDriver):
    """Reads `https://host:port/storage` and has nothing else."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._client = RestClient(**kwargs)
        self._client.init_http_head()
        self._client.session.auth = (self._client.rest_username, cryptor.decode(self._client.rest_password))

    def reset_connection(self, context, **kwargs):
        self._client.init_http_head()

    def get_storage(self, context):
        return self._client.do_call('/storage', None, 'GET').json()

    def list_storage_pools(self, context):
        return []

    def list_volumes(self, context):
        return []

    def add_trap_config(self, context, trap_config):
        pass

    def remove_trap_config(self, context, trap_config):
        pass

    def list_alerts(self, context, query_para=None):
        return []

    def clear_alert(self, context, sequence_number):
        pass
