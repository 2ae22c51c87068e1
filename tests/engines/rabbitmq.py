# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ, with an epmd (Erlang's directory of nodes) of its own."""

from __future__ import annotations

import secrets
from typing import ClassVar
from urllib.parse import quote

from tests.engines.base import Engine

_USER = _PASSWORD = 'guest'  # the broker makes this account itself, for loopback connections only


class RabbitMQ(Engine):
    name: ClassVar[str] = 'RabbitMQ'
    package: ClassVar[str] = 'rabbitmq-server'
    programs: ClassVar[tuple[str, ...]] = ('rabbitmq-server', 'rabbitmqctl')
    # /usr/sbin/rabbitmq-server of Debian insists on root and `su`; the real programs come first.
    places: ClassVar[tuple[str, ...]] = ('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin', '$PATH')
    port_count: ClassVar[int] = 3  # AMQP, Erlang distribution, epmd
    start_seconds: ClassVar[float] = 90.0

    def url(self, vhost: str = '/') -> str:
        """The URL of a virtual host, as oslo.messaging takes it for `transport_url`."""
        return f'rabbit://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{quote(vhost, safe="/")}'

    def create_vhost(self, name: str | None = None) -> str:
        """Make an empty virtual host; its URL."""
        name = name or f'delfin-{secrets.token_hex(6)}'
        self._control('add_vhost', name)
        self._control('set_permissions', '-p', name, _USER, '.*', '.*', '.*')
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        self._control('delete_vhost', name)

    def commands(self) -> list[list[str]]:
        self.write('rabbitmq.conf', f'listeners.tcp.1 = 127.0.0.1:{self.port}\n')
        self.write('enabled_plugins', '[].\n')
        return [[self.program('rabbitmq-server')]]

    def environment(self) -> dict[str, str]:
        _, distribution, epmd = self.ports
        home = self.home
        return super().environment() | {
            'RABBITMQ_NODENAME': f'{self._node}@localhost',
            'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(home / 'log'),
            'RABBITMQ_LOGS': '-',
            'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq.conf'),
            'RABBITMQ_ADVANCED_CONFIG_FILE': str(home / 'advanced.config'),
            'RABBITMQ_CONF_ENV_FILE': str(home / 'no-such-file'),  # instead of that of the system
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'enabled_plugins'),
            'RABBITMQ_DIST_PORT': str(distribution),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '-kernel inet_dist_use_interface {127,0,0,1}',
            'RABBITMQ_CTL_ERL_ARGS': '-kernel inet_dist_use_interface {127,0,0,1}',
            'ERL_EPMD_PORT': str(epmd),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'ERL_CRASH_DUMP_SECONDS': '0',
            # The script then becomes the server instead of standing before it; Erlang handles
            # SIGTERM itself.
            'RUNNING_UNDER_SYSTEMD': 'true',
        }

    def check(self) -> None:
        import amqp

        connection = amqp.Connection(
            f'127.0.0.1:{self.port}',
            userid=_USER,
            password=_PASSWORD,
            connect_timeout=5,
            read_timeout=5,
        )
        try:
            connection.connect()
            cluster = connection.server_properties['cluster_name']
            if not cluster.startswith(f'{self._node}@'):
                raise ConnectionError(f'port {self.port} belongs to {cluster}')
        finally:
            connection.close()

    @property
    def _node(self) -> str:
        return self.directory.name

    def _control(self, *arguments: str) -> None:
        self.run([self.program('rabbitmqctl'), '--quiet', *arguments])
