# SPDX-License-Identifier: Apache-2.0
"""This host: configuration, key file, directories, limits, the API's address, drivers."""

from __future__ import annotations

import http.client
import os
import pwd
import resource
import shutil
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from delfin import exception, rpc
from delfin.api.server import endpoint_of, paste_file
from delfin.common import config
from delfin.doctor.base import Check, Finding, Patient, ok, problem, warning
from delfin.drivers.manager import DriverManager
from delfin.exposure import Endpoint
from delfin.keyring import read_keys

_MB = 2 ** 20
_LITTLE_MB, _TOO_LITTLE_MB = 1024, 100
_DESCRIPTORS = 1024
_EXPIRY_DAYS = 14
_ASK_SECONDS = 3
_LOCAL_NAMES = ('localhost', 'localhost.localdomain')


def configuration_files(patient: Patient) -> Iterator[Finding]:
    """Whether somebody misspelt an option."""
    files = ', '.join(patient.conf.config_file or ()) or 'no file: defaults only'
    unknown = config.unknown_options(patient.conf)
    for name in unknown:
        yield warning(configuration_files, f'option {name} is unknown and has no effect; see the sample delfin.conf')
    if not unknown:
        yield ok(configuration_files, files)


def host_name(patient: Patient) -> Iterator[Finding]:
    """The name of this node."""
    name = patient.conf.host
    if name in _LOCAL_NAMES and not rpc.is_local(patient.conf):
        yield warning(host_name, f'this node is called {name}; set another host in [DEFAULT] on every node, unique '
                      'among those that share a database')
    else:
        yield ok(host_name, name)


def key_file(patient: Patient) -> Iterator[Finding]:
    """The keys of the secrets, and whether the service may read them."""
    path = Path(patient.conf.secrets.key_file)
    keys = read_keys(path)
    owner, state = path.stat().st_uid, Path(patient.conf.state_path)
    if state.exists() and state.stat().st_uid != owner:
        yield warning(key_file, f'{path} belongs to {_user(owner)}, {state} to {_user(state.stat().st_uid)}: a service '
                      f'that runs as the latter cannot read the keys; run "chown {_user(state.stat().st_uid)} {path}"')
    if keys.next_id:
        yield warning(key_file, f'key {keys.next_id} is added and waits; copy {path} to all hosts, then run '
                      '"delfin-manage key rotate"')
    elif keys.old_ids:
        yield warning(key_file, f'a rotation is not finished: key {", ".join(keys.old_ids)} is still there; copy '
                      f'{path} to all hosts, then run "delfin-manage key prune"')
    yield ok(key_file, f'{path}, sealing with key {keys.sealing_id}')


def _user(number: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def state_directory(patient: Patient) -> Iterator[Finding]:
    """The directory Delfin writes to."""
    path = Path(patient.conf.state_path)
    if not path.is_dir():
        yield problem(state_directory, f'{path} does not exist; make it, owned by the user of the service')
    elif not os.access(path, os.W_OK | os.X_OK):
        yield problem(state_directory, f'{path} is not writable for {_user(os.geteuid())}; run the doctor as the user '
                      'of the service, or give the directory to him')
    else:
        yield from disk_room(state_directory, path)


def disk_room(check: Check, path: Path) -> Iterator[Finding]:
    """How much room there is for files in `path`."""
    free = shutil.disk_usage(path).free // _MB
    text = f'{free} MB are free in {path}'
    if free < _TOO_LITTLE_MB:
        yield problem(check, f'{text}: the disk is full; make room')
    elif free < _LITTLE_MB:
        yield warning(check, f'{text}; make room')
    else:
        yield ok(check, text)


def file_descriptors(patient: Patient) -> Iterator[Finding]:
    """How many files and connections a process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        yield warning(file_descriptors, f'a process may open {soft} files and connections here; set LimitNOFILE=65536 '
                      'in the unit, or "ulimit -n 65536"')
    else:
        yield ok(file_descriptors, f'limit {"none" if soft == resource.RLIM_INFINITY else soft}')


# --- the API ---

def api_exposure(patient: Patient) -> Iterator[Finding]:
    """Who can reach the API."""
    paste_file(patient.conf)
    endpoint = _endpoint(patient)
    if endpoint.open_to_network:
        yield warning(api_exposure, f'whoever reaches {endpoint.url} can register and delete storages; demand client '
                      'certificates ([api] tls_client_ca_file) or put a proxy with authentication in front')
    else:
        yield ok(api_exposure, endpoint.url)


def api_certificate(patient: Patient) -> Iterator[Finding]:
    """How long the certificate is good."""
    tls = _endpoint(patient).tls
    if tls is None:
        return
    if tls.expires - datetime.now(UTC) < timedelta(days=_EXPIRY_DAYS):
        yield warning(api_certificate, f'expires on {tls.expires:%Y-%m-%d}; replace it and run "systemctl reload '
                      'delfin-api"')
    else:
        yield ok(api_certificate, f'good until {tls.expires:%Y-%m-%d}')


def api_port(patient: Patient) -> Iterator[Finding]:
    """Whether Delfin has its port, and nobody else."""
    endpoint = _endpoint(patient)
    where = f'{endpoint.address}, port {endpoint.port}'
    try:
        endpoint.bind().close()
    except exception.InvalidConfiguration as error:
        if _is_ours(endpoint):
            yield ok(api_port, f'Delfin answers on {where}')
        else:
            yield problem(api_port, f'{error.msg}; if it is in use, "ss -ltnp sport = :{endpoint.port}" shows by whom')
    else:
        yield warning(api_port, f'nobody listens on {where}: no API is running on this host')


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether what answers there is a Delfin."""
    address = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(endpoint.address, endpoint.address)
    if endpoint.tls:
        # Who demands client certificates answers no questions of ours, but shows the certificate.
        with suppress(OSError, ValueError):
            shown = ssl.get_server_certificate((address, endpoint.port), timeout=_ASK_SECONDS)
            return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(
                endpoint.tls.certificates.decode().partition('-----END CERTIFICATE-----')[0]
                + '-----END CERTIFICATE-----')
        return False
    connection = http.client.HTTPConnection(address, endpoint.port, timeout=_ASK_SECONDS)
    try:
        connection.request('GET', '/healthcheck')
        answer = connection.getresponse()
        return answer.status == 200 and b'"status"' in answer.read(1000)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _endpoint(patient: Patient) -> Endpoint:
    return endpoint_of(patient.conf, embedded=rpc.is_local(patient.conf))


# --- drivers ---

def drivers(patient: Patient) -> Iterator[Finding]:
    """Whether every installed driver can be loaded."""
    entries = DriverManager().listing()
    broken = [entry for entry in entries if entry.error]
    for entry in broken:
        yield problem(drivers, f'"{entry.name}" of package {entry.package} cannot be used: '
                      f'{patient.clean(entry.error)}; update or remove the package')
    yield ok(drivers, f'{len(entries) - len(broken)} can be used')


CHECKS: tuple[Check, ...] = (configuration_files, host_name, key_file, state_directory, file_descriptors)
API_CHECKS: tuple[Check, ...] = (api_exposure, api_certificate, api_port)
DRIVER_CHECKS: tuple[Check, ...] = (drivers,)
