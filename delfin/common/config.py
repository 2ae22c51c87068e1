# SPDX-License-Identifier: Apache-2.0
"""Every option of Delfin, declared once, with help written for the operator.

They live on the global `cfg.CONF` because oslo.messaging looks its own options up there. Nothing else in Delfin is
global. `list_opts()` feeds the generator of the commented sample `etc/delfin/delfin.conf`.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from oslo_config import cfg
from oslo_log import log

from delfin import exception
from delfin.common import logs

CONF = cfg.CONF

DEFAULT_OPTS = [
    cfg.StrOpt('host', default=socket.gethostname(), sample_default='<host name>',
               help='Name of this node. It must be unique among the nodes that share a database, and it must stay the '
                    'same over a restart: a restarted node takes up the work that it had begun.'),
    cfg.StrOpt('state_path', default='/var/lib/delfin',
               help='Directory for files that Delfin writes: the SQLite database and whatever drivers put into their '
                    'working directory.'),
    cfg.IntOpt('shutdown_timeout_seconds', default=8, min=1, max=600,
               help='How long a service that was told to stop waits for calls under way before it leaves them behind. '
                    'Work that was not finished is put back and done by the next start.'),
]

# A web page's origin in the form in which browsers send it.
_ORIGIN = cfg.types.String(regex=r'^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$')

# What every TLS server has besides its certificate.
_TLS_SERVER_OPTS = [
    cfg.StrOpt('tls_key_file',
               help='PEM file with the private key of the certificate: RSA of at least 2048 bits, P-256, P-384 or '
                    'Ed25519. Others must not be able to read it.'),
    cfg.StrOpt('tls_key_password', secret=True, help='Password of the private key, if it is encrypted.'),
    cfg.StrOpt('tls_client_ca_file',
               help='PEM file with CAs. Every client must show a certificate that one of them has signed.'),
]

API_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt('host', default='127.0.0.1',
                       help='Address the REST API listens on. A host name is resolved once, at the start, and its '
                            'first IPv4 address is taken. Every address but a loopback address is refused unless '
                            'clients must show a certificate (tls_client_ca_file) or '
                            'allow_unauthenticated_network_access is set.'),
    cfg.PortOpt('port', default=8190, help='Port the REST API listens on.'),
    cfg.BoolOpt('allow_unauthenticated_network_access', default=False,
                help='Listen on the network although the REST API asks nobody who he is: whoever reaches the port can '
                     'register and delete storages. Only for networks in which nobody else can reach it.'),
    cfg.StrOpt('tls_cert_file',
               help='PEM file with the certificate of the REST API, followed by those of intermediate CAs. With '
                    'tls_key_file it switches TLS (1.2 or newer) on. Only delfin-api speaks TLS. At SIGHUP it reads '
                    'certificate, key and CAs again and replaces its workers one by one.'),
    *_TLS_SERVER_OPTS,
    cfg.ListOpt('trusted_proxy', item_type=cfg.types.IPAddress(), default=[],
                help='Addresses of the reverse proxies whose X-Forwarded-For tells the address of the client, which '
                     'the log then shows. No other forwarding header has any effect, and none from elsewhere.'),
    cfg.ListOpt('cors_allowed_origins', item_type=_ORIGIN, default=[],
                help='Origins whose web pages may use the API from a browser, for example '
                     'https://console.example.com. Default: none.'),
    cfg.IntOpt('request_timeout_seconds', default=30, min=1, max=3600,
               help='How long a client may take to send a whole request, and how long a connection without requests '
                    'is kept.'),
    cfg.IntOpt('threads', default=8, min=1, max=256,
               help='Threads that answer requests, in each worker process.'),
    cfg.IntOpt('workers', default=2, min=1, max=64,
               help='Worker processes of delfin-api. delfin-all serves the API from its own process and ignores this.'),
    cfg.StrOpt('paste_config', default='api-paste.ini',
               help='PasteDeploy file with the pipeline of the API: an absolute path, or a name that is looked for '
                    'beside the configuration file, in /etc/delfin and in the installation.'),
    cfg.IntOpt('max_limit', default=1000, min=1, max=100000,
               help='Most rows in one list answer; also the default of the query parameter limit.'),
    cfg.IntOpt('max_body_kb', default=1024, min=1, max=65536, help='Largest request body that is read, in KiB.'),
    cfg.IntOpt('ready_timeout_seconds', default=3, min=1, max=60,
               help='How long /readiness waits for an answer of the task service.'),
]

DATABASE_OPTS = [
    cfg.StrOpt('connection', secret=True,
               help='SQLAlchemy URL of the database: sqlite:////path/file, '
                    'postgresql+psycopg://user:password@host/name or '
                    'mysql+pymysql://user:password@host/name?charset=utf8mb4. Default: delfin.sqlite in state_path.'),
    cfg.IntOpt('pool_size', default=10, min=1, max=500, help='Connections each process keeps open.'),
    cfg.IntOpt('pool_timeout_seconds', default=10, min=1, max=600,
               help='How long to wait for a free connection before the request fails.'),
    cfg.IntOpt('sqlite_busy_timeout_seconds', default=30, min=1, max=600,
               help='How long a write to SQLite waits for another writer.'),
]

DRIVERS_OPTS = [
    cfg.IntOpt('interactive_timeout_seconds', default=60, min=1, max=3600,
               help='Deadline of driver calls that somebody waits for: registration, capabilities, alerts.'),
    cfg.IntOpt('inventory_timeout_seconds', default=600, min=1, max=86400,
               help='Deadline of one inventory call, for example listing all volumes.'),
    cfg.IntOpt('metrics_timeout_seconds', default=120, min=1, max=3600,
               help='Deadline of one metrics call.'),
    cfg.StrOpt('isolation', default='thread', choices=[
        ('thread', 'drivers run in threads of the task service'),
        ('process', 'each storage has a child process of its own')],
               help='Where drivers run. With "process" a driver that crashes, hangs or leaks memory harms nobody else: '
                    'a call past its deadline is ended together with its process, while a thread that hangs stays '
                    'until it returns by itself. It costs 40 to 60 MB of memory for each storage, and about a second '
                    'for its first call.'),
    cfg.IntOpt('quarantine_min_seconds', default=60, min=1, max=86400,
               help='First pause of a storage whose driver did not return from two calls; each further doubles it.'),
    cfg.IntOpt('quarantine_max_seconds', default=3600, min=1, max=604800, help='Longest such pause.'),
    cfg.Opt('log_levels', default={},
            type=cfg.types.Dict(cfg.types.String(choices=['DEBUG', 'INFO', 'WARNING', 'ERROR'], ignore_case=True)),
            sample_default='acme x1:DEBUG, linux host:WARNING',
            help='Log levels of drivers, by the names that arrays are registered with: "acme x1:DEBUG, linux '
                 'host:WARNING". A level counts for all that the package of the driver logs; drivers in one package '
                 'share one. At DEBUG, drivers made with the kit log each request.'),
    cfg.StrOpt('ca_path',
               help='CA bundle (file or directory) drivers verify the certificates of arrays with. Default: the CAs of '
                    'the system.'),
]

RPC_OPTS = [
    cfg.IntOpt('timeout_seconds', default=75, min=1, max=3600,
               help='How long the API waits for an answer of the task service. Longer than '
                    '[drivers] interactive_timeout_seconds, else answers come too late.'),
    cfg.IntOpt('threads', default=16, min=1, max=256, help='Threads in each service that handle RPC calls.'),
]

SECRETS_OPTS = [
    cfg.StrOpt('key_file', default='/etc/delfin/keys',
               help='File with the keys that secrets in the database are encrypted with. Readable by the service only '
                    '(0600). Make it with "delfin-manage key generate". Back it up: without it no stored password can '
                    'be read.'),
]

SYNC_OPTS = [
    cfg.IntOpt('interval_seconds', default=3600, min=0, max=30 * 86400,
               help='Pause between syncs of an array that nobody asks for; spread evenly over the arrays. 0: never. A '
                    'storage may have its own (PUT /v1/storages/{id}).'),
    cfg.IntOpt('workers', default=64, min=1, max=1024,
               help='Storages that one task service syncs at the same time. Most of the time they wait for arrays.'),
    cfg.IntOpt('poll_interval_seconds', default=5, min=1, max=3600,
               help='How often a task service looks for work that no message announced.'),
    cfg.IntOpt('confirm_delay_seconds', default=30, min=1, max=3600,
               help='An array that suddenly lists nothing, or less than half of what is stored, is asked a second time '
                    'after this pause before rows are deleted.'),
    cfg.IntOpt('keep_runs', default=50, min=1, max=100000, help='Finished sync runs kept for each storage.'),
]

ALERTS_OPTS = [
    cfg.ListOpt('listen', default=['0.0.0.0:1162', '[::]:1162'],
                help='Addresses and UDP ports that SNMP traps are received at. In production that is port 162 '
                     '(0.0.0.0:162, [::]:162), which needs a right of its own, CAP_NET_BIND_SERVICE: the systemd units '
                     'give it. [::] is left out on a machine without IPv6. Empty: no traps are received.'),
    cfg.IntOpt('receive_buffer_mb', default=64, min=1, max=1024,
               help="Size of the kernel's buffer for each of these addresses, in MiB. More than net.core.rmem_max is "
                    'only given to a service with CAP_NET_ADMIN. A burst of traps that does not fit is lost (and '
                    'counted).'),
    cfg.IntOpt('spool_max_rows', default=1_000_000, min=1000, max=100_000_000,
               help='Most traps that wait in state_path while the database cannot be reached. When it is full, traps '
                    'are refused and INFORMs are not acknowledged. So they are when less than about 31 MiB of the disk '
                    'are free.'),
    cfg.IntOpt('parse_timeout_seconds', default=10, min=1, max=600,
               help='How long a driver may take to read one trap before it is kept as failed.'),
    cfg.IntOpt('keep_failed_traps', default=10_000, min=10, max=1_000_000,
               help='Traps that could not be read and are kept to be looked at and retried.'),
    cfg.IntOpt('resolve_interval_seconds', default=300, min=10, max=86400,
               help='How often host names of alert sources are looked up again.'),
    cfg.IntOpt('probe_interval_seconds', default=1800, min=0, max=30 * 86400,
               help='How often each configured SNMP agent is asked for a sign of life; an outage becomes one alert. '
                    '0: never, apart from the one look after a change of the configuration.'),
    cfg.IntOpt('sync_interval_seconds', default=900, min=0, max=30 * 86400,
               help="Pause between syncs with the array's own list of alerts, which heal what traps have missed; "
                    'spread evenly over the arrays. 0: only when somebody asks, or a trap says too little.'),
    cfg.IntOpt('keep_days', default=30, min=1, max=3650,
               help='Days after which alerts that were cleared, and events, are deleted. Standing alerts stay.'),
    cfg.StrOpt('trap_host',
               help='Address that arrays are told to send traps to (POST /v1/storages/{id}/snmp-config/push), unless '
                    'the request names another: that of the alert service as arrays see it.'),
    cfg.PortOpt('trap_port', default=162, min=1, help='Port for the same purpose.'),
    cfg.ListOpt('exporters', default=['log'],
                help='What alerts are handed to: names or class names of the entry point group delfin.alert.exporters. '
                     'Built in are log, alertmanager, webhook and kafka.'),
    cfg.IntOpt('export_queue_max', default=100_000, min=100, max=10_000_000,
               help='Most events that wait for one exporter; when its receiver is away for longer, the oldest go '
                    '(counted in GET /v1/exporters).'),
]

METRICS_OPTS = [
    cfg.BoolOpt('enabled', default=True,
                help='Collect the metrics of arrays whose drivers can. A storage may have its own setting (PUT '
                     '/v1/storages/{id}/metrics-config).'),
    cfg.IntOpt('interval_seconds', default=300, min=5, max=86400,
               help='Pause between collections of an array, unless its driver advises another one; spread evenly over '
                    'the arrays. A storage may have its own, which counts before both.'),
    cfg.IntOpt('settle_seconds', default=60, min=0, max=3600,
               help='How old points are when they are asked for, where the array does not say how far it has got: '
                    'younger ones may not be complete.'),
    cfg.IntOpt('workers', default=128, min=1, max=1024,
               help='Storages that one task service collects metrics of at the same time. Arrays that hang occupy one '
                    'each, for [drivers] metrics_timeout_seconds.'),
    cfg.ListOpt('exporters', default=[],
                help='What metrics are handed to: names or class names of the entry point group '
                     'delfin.performance.exporters. Built in are log, prometheus, remote_write, kafka and file.'),
    cfg.IntOpt('export_queue_max', default=10_000_000, min=10_000, max=1_000_000_000,
               help='Most points that wait in the database for one exporter, at about ten bytes each; when its '
                    'receiver is away for longer, the oldest go (counted in GET /v1/exporters).'),
]


def _http_receiver_opts(name: str) -> list[cfg.Opt]:
    """How a server over HTTP is told who we are, and how we know it."""
    return [
        cfg.StrOpt('username', help=f'User name, where {name} asks for one; with password_file.'),
        cfg.StrOpt('password_file', help='File with the password: one line, not readable by others.'),
        cfg.StrOpt('bearer_token_file', help='File with a bearer token: one line, not readable by others.'),
        cfg.StrOpt('ca_file',
                   help=f'PEM file with the CAs that may have signed the certificate of {name}. Default: the CAs of '
                        'the system.'),
        cfg.FloatOpt('timeout_seconds', default=10, min=0.1, max=50, help='How long to wait for an answer.'),
    ]


ALERTMANAGER_OPTS = [
    cfg.ListOpt('urls', default=['http://127.0.0.1:9093'],
                help='Base URLs of Alertmanagers (API v2). Of a cluster all members: each is told of every alert.'),
    cfg.StrOpt('delfin_url',
               help='URL at which people reach the REST API of Delfin, for the link from an alert in Alertmanager to '
                    'the same one here. Default: no link.'),
    *_http_receiver_opts('Alertmanager'),
]

WEBHOOK_OPTS = [
    cfg.StrOpt('url', secret=True, help='URL that events are posted to.'),
    cfg.StrOpt('secret_file',
               help='File with the key that posts are signed with: one line of at least 16 characters, not readable by '
                    'others. Make it with "openssl rand -hex 32".'),
    cfg.StrOpt('ca_file',
               help='PEM file with the CAs that may have signed the certificate of the receiver. Default: the CAs of '
                    'the system.'),
    cfg.FloatOpt('timeout_seconds', default=10, min=0.1, max=50, help='How long to wait for an answer.'),
]

PROMETHEUS_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt('host', default='127.0.0.1',
                       help='Address at which each task service shows metrics, with the exporter prometheus. A host '
                            'name is resolved once, at the start, and its first IPv4 address is taken. Every address '
                            'but a loopback address is refused unless clients must show a certificate '
                            '(tls_client_ca_file) or allow_unauthenticated_network_access is set.'),
    cfg.PortOpt('port', default=8191, help='Port for the same.'),
    cfg.BoolOpt('allow_unauthenticated_network_access', default=False,
                help='Listen on the network although nobody is asked who he is: whoever reaches the port can read '
                     'names, sizes, states and metrics of all arrays. Nothing can be changed there.'),
    cfg.StrOpt('tls_cert_file',
               help='PEM file with the certificate of this server, followed by those of intermediate CAs. With '
                    'tls_key_file it switches TLS (1.2 or newer) on. Changed files are found by themselves.'),
    *_TLS_SERVER_OPTS,
    cfg.StrOpt('names', default='delfin', choices=[
        ('delfin', 'names in base units: delfin_volume_read_response_time_seconds'),
        ('soda', 'those of SODA Delfin: volume_readResponseTime in ms, as the label unit says')],
               help='What metrics of arrays are called. The dashboards and rules of Delfin know the first ones. Also '
                    'for the exporter remote_write.'),
    cfg.IntOpt('answer_timeout_seconds', default=60, min=1, max=600,
               help='How long a client may take to read one answer.'),
]

REMOTE_WRITE_OPTS = [
    cfg.StrOpt('url',
               help='URL that points of metrics are written to by remote write 1.0, for example '
                    'http://127.0.0.1:9090/api/v1/write of a Prometheus with --web.enable-remote-write-receiver.'),
    cfg.DictOpt('labels', default={'job': 'delfin'},
                help='Labels that all series get besides their own, as name:value.'),
    *_http_receiver_opts('the receiver'),
]

KAFKA_OPTS = [
    cfg.ListOpt('bootstrap_servers', default=['127.0.0.1:9092'],
                help='Some brokers of the cluster, with ports; the others are learned from them.'),
    cfg.StrOpt('metrics_topic', default='delfin-metrics', help='Topic that metrics are sent to.'),
    cfg.StrOpt('alerts_topic', default='delfin-alerts', help='Topic that alerts are sent to.'),
    cfg.BoolOpt('tls', default=False, help='Connect with TLS. Certificates and host names of brokers are verified.'),
    cfg.StrOpt('ca_file',
               help='PEM file with the CAs that may have signed the certificates of the brokers. Default: the CAs of '
                    'the system.'),
    cfg.StrOpt('cert_file', help='PEM file with a certificate to show to the brokers, where they ask for one.'),
    cfg.StrOpt('key_file', help='PEM file with its private key, not readable by others.'),
    cfg.StrOpt('key_password_file',
               help='File with the password of the private key, if it is encrypted: one line, not readable by others.'),
    cfg.StrOpt('sasl_mechanism', choices=['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
               help='How to log in with username and password. Default: not at all.'),
    cfg.StrOpt('username', help='User name at the brokers.'),
    cfg.StrOpt('password_file',
               help='File with the password: one line, not readable by others. It is only sent with tls, or to brokers '
                    'on this machine.'),
    cfg.StrOpt('compression', default='zstd', choices=['none', 'gzip', 'snappy', 'lz4', 'zstd'],
               help='How batches of messages are compressed. All consumers must be able to read it.'),
    cfg.StrOpt('client_id', default='delfin', help='What the brokers call Delfin in their logs and quotas.'),
    cfg.FloatOpt('timeout_seconds', default=10, min=1, max=50,
                 help='How long to wait until the brokers have acknowledged what was sent.'),
]

METRICS_FILE_OPTS = [
    cfg.StrOpt('path',
               help='File that the exporter of metrics named file appends to. Each node needs one of its own. Default: '
                    'metrics/metrics.jsonl in state_path.'),
    cfg.IntOpt('max_mb', default=100, min=1, max=1024,
               help='Size at which a file is full and the next one begins, in MiB.'),
    cfg.IntOpt('keep_files', default=10, min=1, max=10000, help='Full files that are kept; older ones are deleted.'),
    cfg.BoolOpt('compress', default=False, help='Compress full files with gzip.'),
]

HISTORY_OPTS = [
    cfg.IntOpt('keep_days', default=7, min=0, max=400,
               help='Days for which each task service keeps the metrics that it has collected, in state_path. '
                    '0: it keeps none.'),
    cfg.IntOpt('max_mb', default=4096, min=64, max=10_000_000,
               help='Most room for them, in MiB; the oldest go first. A point takes about 9 bytes: 5,000 volumes with '
                    '16 metrics a minute are a gigabyte a day.'),
    cfg.IntOpt('capacity_keep_days', default=400, min=2, max=3650,
               help='Days for which the capacity of each storage and pool is kept, one row a day, in the database.'),
    cfg.StrOpt('prometheus_url',
               help='Base URL of a server that metrics are exported to and that answers as Prometheus does '
                    '(/api/v1/query below it). GET /v1/storages/{id}/metrics is then answered from there.'),
    *_http_receiver_opts('that server'),
]

CLUSTER_OPTS = [
    cfg.FloatOpt('heartbeat_seconds', default=2, min=0.1, max=60,
                 help='How often a task service tells the others, through the database, that it lives.'),
    cfg.FloatOpt('lease_seconds', default=6, min=0.5, max=600,
                 help='A task service that has been silent for so long is taken for dead, and its arrays go to the '
                      'others. At least three heartbeats; the same on all nodes.'),
]

GROUPS: dict[str | None, Sequence[cfg.Opt]] = {
    None: DEFAULT_OPTS,
    'alertmanager': ALERTMANAGER_OPTS,
    'alerts': ALERTS_OPTS,
    'api': API_OPTS,
    'cluster': CLUSTER_OPTS,
    'database': DATABASE_OPTS,
    'drivers': DRIVERS_OPTS,
    'history': HISTORY_OPTS,
    'kafka': KAFKA_OPTS,
    'metrics': METRICS_OPTS,
    'metrics_file': METRICS_FILE_OPTS,
    'prometheus': PROMETHEUS_OPTS,
    'remote_write': REMOTE_WRITE_OPTS,
    'rpc': RPC_OPTS,
    'secrets': SECRETS_OPTS,
    'sync': SYNC_OPTS,
    'webhook': WEBHOOK_OPTS,
}

# Third parties that shout at DEBUG or warn about what is normal here.
_QUIET = [
    'amqp=WARNING', 'oslo.messaging=INFO', 'oslo_messaging=INFO', 'stevedore=INFO', 'routes.middleware=WARNING',
    'waitress.queue=ERROR', 'paramiko=WARNING', 'urllib3=WARNING', 'sqlalchemy=WARNING', 'alembic=WARNING',
    'oslo_messaging._drivers.impl_rabbit=WARNING', 'oslo_messaging._drivers.amqpdriver=ERROR',
]


def list_opts() -> list[tuple[str | None, Sequence[cfg.Opt]]]:
    """All options by group, for oslo-config-generator; `transport_url` as the operator sees it."""
    transport = cfg.StrOpt(
        'transport_url', default='local://', secret=True,
        help='How the services reach one another: local:// inside delfin-all; a broker that all share for delfin-api, '
             'delfin-task and delfin-alert, for example rabbit://user:password@host:5672/delfin.')
    return [(group, [*opts, transport] if group is None else opts) for group, opts in GROUPS.items()]


def register(conf: cfg.ConfigOpts = CONF) -> None:
    """Declare the options on `conf`; harmless when repeated."""
    for group, opts in GROUPS.items():
        conf.register_opts(opts, group=group)


def load(argv: Sequence[str], prog: str, conf: cfg.ConfigOpts = CONF, **kwargs: Any) -> cfg.ConfigOpts:
    """Parse command line and configuration files; what is wrong with them becomes one `InvalidConfiguration`."""
    from delfin.version import version_string

    register(conf)
    with contextlib.suppress(cfg.ArgsAlreadyParsedError):       # a second load in one process (tests)
        log.register_options(conf)
    log.set_defaults(logging_context_format_string=logs.FORMAT,
                     default_log_levels=[*log.get_default_log_levels(), *_QUIET])
    try:
        conf(list(argv), project='delfin', prog=prog, version=version_string(), **kwargs)
        _touch_all(conf)
    except cfg.ConfigFilesNotFoundError as error:
        raise exception.InvalidConfiguration(f'configuration file not found: {", ".join(error.config_files)}') from None
    except cfg.ConfigFilesPermissionDeniedError as error:
        raise exception.InvalidConfiguration(
            f'configuration file not readable: {", ".join(error.config_files)}; run as its owner') from None
    except cfg.ConfigFileParseError as error:
        # Without the line itself, which may hold a password.
        place = re.sub(r": '.*'$", '', _one_line(error))
        raise exception.InvalidConfiguration(f'configuration file cannot be parsed: {place}') from None
    except OSError as error:
        raise exception.InvalidConfiguration(f'configuration file: {error.strerror}: {error.filename}') from None
    except (cfg.Error, ValueError) as error:
        raise exception.InvalidConfiguration(f'configuration: {_one_line(error)}') from None
    if conf.cluster.lease_seconds < 3 * conf.cluster.heartbeat_seconds:
        raise exception.InvalidConfiguration(
            'configuration: [cluster] lease_seconds: must be at least three times heartbeat_seconds, else one late '
            'heartbeat makes a node look dead')
    _check_unknown(conf)
    return conf


def _touch_all(conf: cfg.ConfigOpts) -> None:
    """Read every option once: oslo.config checks a value only when it is asked for."""
    for group, opts in GROUPS.items():
        for opt in opts:
            try:
                conf[group][opt.dest] if group else conf[opt.dest]
            except (cfg.Error, ValueError) as error:
                reason = _one_line(error).rpartition('is not valid: ')[2]
                raise exception.InvalidConfiguration(
                    f'configuration: [{group or "DEFAULT"}] {opt.name}: {reason}') from None


def unknown_options(conf: cfg.ConfigOpts) -> list[str]:
    """`[group] name` of options in the files that nobody knows, in our own groups (a typo never passes in silence)."""
    found = []
    for section, values in _file_sections(conf):
        group = None if section.upper() == 'DEFAULT' else section
        if group is None or group not in GROUPS:
            continue
        known = {opt.dest for opt in GROUPS[group]} | {opt.name for opt in GROUPS[group]}
        found += [f'[{section}] {name}' for name in values if name not in known]
    return found


def _file_sections(conf: cfg.ConfigOpts) -> Iterator[tuple[str, Iterable[str]]]:
    """Sections and option names as the files have them (oslo.config keeps no public record of what it did not use)."""
    for path in conf.config_file or ():
        sections: dict[str, dict[str, list[str]]] = {}
        with contextlib.suppress(cfg.ParseError):
            cfg.ConfigParser(path, sections).parse()
        yield from sections.items()


def _check_unknown(conf: cfg.ConfigOpts) -> None:
    for name in unknown_options(conf):
        logging.getLogger(__name__).warning('option %s in the configuration is unknown and has no effect', name)


def database_url(conf: cfg.ConfigOpts) -> str:
    """The configured database, or the embedded default."""
    return conf.database.connection or f'sqlite:///{conf.state_path}/delfin.sqlite'


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())


def fail(prog: str, error: exception.DelfinException) -> int:
    """Print the one readable line of a configuration error; the exit code."""
    print(f'{prog}: {error.msg}', file=sys.stderr)
    return 2
