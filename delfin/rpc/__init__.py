# SPDX-License-Identifier: Apache-2.0
"""RPC between the services: one transport setting, `transport_url`.

Inside `delfin-all` it is `local://` (see `delfin.rpc.local`), between processes a broker. Messages carry ids and small
answers; what work there is stands in the database (a lost doorbell loses nothing).
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kombu.exceptions
from oslo_config import cfg

from delfin.common.imports import without

# A dependency of oslo.messaging's that we never use. futurist imports it whenever it is there, which takes a fifth of a
# service's start and ends in a warning.
with without('eventlet'):
    from oslo_service import backend

    # Before the first import of oslo_messaging: it decides that we run on real threads.
    backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging as messaging
    from oslo_messaging import opts as messaging_opts

from delfin import exception, failpoints
from delfin.context import RequestContext, get_admin_context

LOG = logging.getLogger(__name__)

TASK_TOPIC = 'delfin-task'
ALERT_TOPIC = 'delfin-alert'
VERSION = '1.0'
LOCAL = 'local'

_CONNECT_SECONDS = 3
_SIGN_OF_LIFE_SECONDS = 5       # so soon a call notices that the server it was meant for has died
_EXCEPTIONS = ['delfin.exception']
_BROKER_ERRORS = (messaging.MessagingException, kombu.exceptions.KombuError)
_LISTENER_LOGGER = 'oslo_messaging._drivers.amqpdriver'


def register(conf: cfg.ConfigOpts) -> None:
    """Declare oslo.messaging's global options, which it does itself only when a transport is made."""
    for group, opts in messaging_opts.list_opts():
        if group is None:
            conf.register_opts(opts)
    conf.set_default('transport_url', f'{LOCAL}://')
    conf.set_default('executor_thread_pool_size', conf.rpc.threads)


def is_local(conf: cfg.ConfigOpts) -> bool:
    """Whether `transport_url` only reaches inside one process."""
    register(conf)
    return conf.transport_url.partition(':')[0] in (LOCAL, 'fake')


class _Duplicates(logging.Filter):
    """Makes one line of what oslo.messaging logs as an error with its stack, though it did what it should.

    A broker that comes back delivers what nobody had confirmed once more; the listener knows the message and skips it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if type(error).__name__ == 'DuplicateMessageError':
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
            record.msg, record.args = 'the broker delivered a message a second time, it is skipped: %s', (str(error),)
            record.exc_info = record.exc_text = None
        return True


_DUPLICATES = _Duplicates()


class Rpc:
    """The transport of one process."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        register(conf)
        logging.getLogger(_LISTENER_LOGGER).addFilter(_DUPLICATES)
        try:
            self._transport = messaging.get_rpc_transport(conf, allowed_remote_exmods=_EXCEPTIONS)
        except (messaging.DriverLoadFailure, messaging.InvalidTransportURL, ValueError) as error:
            raise exception.InvalidConfiguration(
                f'transport_url cannot be used: {type(error).__name__}; it must look like '
                'rabbit://user:password@host:5672/vhost') from None
        self._connection = Connection()

    def server(self, topic: str, endpoints: Sequence[Any]) -> Server:
        """A server for `topic` on this node, not yet started."""
        target = messaging.Target(topic=topic, server=self._conf.host)
        return Server(messaging.get_rpc_server(
            self._transport, target, list(endpoints), serializer=_Serializer(),
            access_policy=messaging.DefaultRPCAccessPolicy))

    def client(self, topic: str) -> Client:
        """A client of `topic`."""
        target = messaging.Target(topic=topic, version=VERSION)
        return Client(messaging.get_rpc_client(
            self._transport, target, timeout=self._conf.rpc.timeout_seconds, serializer=_Serializer()), topic,
            None if is_local(self._conf) else self._connection)

    def close(self) -> None:
        """Close the connections."""
        self._transport.cleanup()


class Server:
    """An RPC server that can be stopped in two steps, so that several can stop side by side."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._started = False

    def start(self) -> None:
        """Begin to take messages. Returns when the broker can be reached."""
        self._server.start()
        self._started = True

    def stop(self) -> None:
        """Take no more; then wait for what is under way. Nothing to do for a server still waiting for its broker."""
        if self._started:
            self._server.stop()
            self._server.wait()


class Connection:
    """Whether the broker has ever answered this process.

    Until it has, oslo.messaging waits for it without end inside the first call, whatever time-out the call has. So a
    thread of ours makes the first call, and the others wait for it, for a limited time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = threading.Event()
        self._trying = False

    def require(self, client: Any, seconds: float) -> None:
        """`ServiceUnavailable` unless there is (or within `seconds` comes) a connection."""
        with self._lock:
            if not self._trying:
                self._trying = True
                threading.Thread(target=self._make, args=(client,), name='rpc-connect', daemon=True).start()
        if not self._made.wait(min(seconds, _CONNECT_SECONDS)):
            raise exception.ServiceUnavailable('the message broker cannot be reached; try again later')

    def _make(self, client: Any) -> None:
        try:
            client.prepare(timeout=_CONNECT_SECONDS, retry=0).call(get_admin_context(), 'ping')
        except messaging.MessageDeliveryFailure:
            with self._lock:
                self._trying = False        # the next call tries again
            return
        except Exception as error:      # nobody answers the ping, but the broker has taken it
            LOG.debug('first call: %s', error)
        self._made.set()


class Client:
    """Calls and doorbells with a time limit each. A broker that is away is `ServiceUnavailable`, never a hang."""

    def __init__(self, client: Any, topic: str, connection: Connection | None = None) -> None:
        self._client = client
        self._topic = topic
        self._connection = connection
        self._lock = threading.Lock()       # of the doorbell
        self._wanted: Callable[[], None] | None = None
        self._ringing = False

    def call(self, context: RequestContext, method: str, *, server: str | None = None,
             timeout_seconds: float | None = None, **kwargs: Any) -> Any:
        """Call `method` on `server` (or one of the topic's) and return its answer; raises its `delfin.exception`."""
        if self._connection is not None:
            self._connection.require(self._client, timeout_seconds or _CONNECT_SECONDS)
        options: dict[str, Any] = {'retry': 0}
        if timeout_seconds:
            options['timeout'] = timeout_seconds
        if server is not None:
            options |= {'server': server, 'call_monitor_timeout': _SIGN_OF_LIFE_SECONDS}
        client = self._client.prepare(**options)
        try:
            return client.call(context, method, **kwargs)
        except exception.DelfinException:
            raise
        except messaging.MessagingTimeout:
            raise exception.ServiceUnavailable(
                f'no answer from {self._topic}{" on " + server if server else ""} in time; is the service running?'
            ) from None
        except messaging.RemoteError as error:
            raise self._bug(str(error.exc_type)) from None
        except _BROKER_ERRORS:
            raise exception.ServiceUnavailable('the message broker cannot be reached; try again later') from None
        except Exception as error:      # a built-in exception of the other side: its text is for the log there
            raise self._bug(type(error).__name__.removesuffix('_Remote')) from None

    def _bug(self, what: str) -> exception.DelfinException:
        return exception.DelfinException(message=f'{self._topic} failed: {what}; see its log')

    @property
    def is_local(self) -> bool:
        """Whether the servers are in this process."""
        return self._connection is None

    def ring(self, context: RequestContext, method: str, **kwargs: Any) -> None:
        """Wake all servers of the topic; never fails nor waits for a broker, since they also look by themselves."""
        failpoints.hit('doorbell.before')
        if self._connection is None:
            self._ring(context, method, **kwargs)
            return
        with self._lock:
            self._wanted = functools.partial(self._ring, context, method, **kwargs)
            if self._ringing:
                return      # it rings once more when it has rung
            self._ringing = True
        threading.Thread(target=self._ring_all, name='doorbell', daemon=True).start()

    def _ring_all(self) -> None:
        """Ring as long as somebody has wanted it meanwhile."""
        while True:
            with self._lock:
                ring, self._wanted = self._wanted, None
                if ring is None:
                    self._ringing = False
                    return
            ring()

    def _ring(self, context: RequestContext, method: str, **kwargs: Any) -> None:
        try:
            if self._connection is not None:
                self._connection.require(self._client, _CONNECT_SECONDS)
            self._client.prepare(fanout=True, retry=0).cast(context, method, **kwargs)
            failpoints.hit('doorbell.after')
        except (*_BROKER_ERRORS, exception.ServiceUnavailable):
            LOG.warning('%s could not be told that there is work; it will look a little later. Is the broker up, '
                        'and does the service run?', self._topic)
        except Exception:       # nobody waits for it
            LOG.exception('the doorbell of %s', self._topic)


class _Serializer(messaging.Serializer):
    """Carries the request context; arguments and answers are JSON-able as they are."""

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return entity

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return entity

    def serialize_context(self, ctxt: RequestContext) -> dict[str, Any]:
        return ctxt.to_dict()

    def deserialize_context(self, ctxt: dict[str, Any]) -> RequestContext:
        context = RequestContext.from_dict(ctxt)
        context.update_store()      # the log lines of the thread that handles the message show its request id
        return context
