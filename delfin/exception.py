# SPDX-License-Identifier: Apache-2.0
"""The exception family. Drivers raise these names and the REST API shows them as `error_code`.

`code` is part of the drivers' contract and stays as drivers know it. The HTTP status of an answer does not come from
here but from the one table in `delfin.api.errors`.
"""

from __future__ import annotations

from typing import Any

_REMOTE_SUFFIX = '_Remote'      # oslo.messaging appends it to the class of an exception that came over RPC


class DelfinException(Exception):
    """Base of every error that Delfin names.

    Positional arguments fill `{0}`, `{1}` … of the class's `msg_fmt`; surplus ones are ignored and missing ones leave
    the template as it is, so raising an error can never fail itself. `message=` replaces the text.

    Attributes: `code`, `error_code` (the class's name), `error_args` (the positional arguments), `msg` (the text).
    """

    msg_fmt = 'An unknown exception occurred.'
    code = 500

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.error_args = args
        self.kwargs = dict(kwargs)
        message = kwargs.get('message')
        self.msg: str = str(message) if message is not None else self._fill(args)
        super().__init__(*args)

    @classmethod
    def _fill(cls, args: tuple[Any, ...]) -> str:
        try:
            return cls.msg_fmt.format(*args)
        except (IndexError, KeyError, ValueError):
            return cls.msg_fmt

    @property
    def error_code(self) -> str:
        """The name that clients see; the same on both sides of RPC."""
        return type(self).__name__.removesuffix(_REMOTE_SUFFIX)

    def __str__(self) -> str:
        return self.msg


class NotAuthorized(DelfinException):
    msg_fmt = 'Not authorized.'
    code = 403


class Invalid(DelfinException):
    msg_fmt = 'Unacceptable parameters.'
    code = 400


class BadRequest(Invalid):
    msg_fmt = 'The request is malformed or incorrect.'


class MalformedRequestBody(Invalid):
    msg_fmt = 'Malformed request body: {0}.'


class MalformedRequestUrl(Invalid):
    msg_fmt = 'Malformed request URL.'


class InvalidCredential(Invalid):
    msg_fmt = 'The credentials are invalid.'


class InvalidResults(Invalid):
    """An answer of the device cannot be used."""

    msg_fmt = 'The results are invalid. {0}'


class InvalidInput(Invalid):
    msg_fmt = 'Invalid input received. {0}'


class InvalidName(Invalid):
    msg_fmt = 'An invalid "name" value was given. {0}'


class InvalidContentType(Invalid):
    msg_fmt = 'Content type {0} is not supported; send application/json.'


class RequestBodyTooLarge(Invalid):
    msg_fmt = 'The request body is larger than {0} bytes.'
    code = 413


class MethodNotAllowed(Invalid):
    msg_fmt = 'Method {0} is not allowed here; allowed are {1}.'
    code = 405


class StorageSerialNumberMismatch(Invalid):
    msg_fmt = 'The serial number does not match: {0}'


class StorageAlreadyExists(Invalid):
    msg_fmt = 'Storage already exists.'


class InvalidSNMPConfig(Invalid):
    msg_fmt = 'Invalid SNMP configuration. {0}'


class StorageIsSyncing(Invalid):
    msg_fmt = 'Storage {0} is being synced.'


class NotFound(DelfinException):
    msg_fmt = 'Resource could not be found.'
    code = 404


class NoSuchAction(NotFound):
    msg_fmt = 'There is no action {0}.'


class ConfigNotFound(NotFound):
    msg_fmt = 'Configuration file {0} could not be found.'


class PasteAppNotFound(NotFound):
    msg_fmt = 'Application {0} could not be loaded from {1}.'


class ComponentNotFound(NotFound):
    """A local helper (for example a vendor CLI) is absent; argument: its name."""

    msg_fmt = 'Component {0} could not be found.'


class AccessInfoNotFound(NotFound):
    msg_fmt = 'Access information for storage {0} could not be found.'


class AlertNotFound(NotFound):
    msg_fmt = 'Alert {0} could not be found.'


class AlertIsNotOpen(Invalid):
    msg_fmt = 'Alert {0} does not stand: it is {1}.'
    code = 409


class AlertSourceNotFound(NotFound):
    msg_fmt = 'Alert source for storage {0} could not be found.'


class AlertSourceNotFoundWithHost(NotFound):
    msg_fmt = 'Alert source with host {0} could not be found.'


class StorageNotFound(NotFound):
    msg_fmt = 'Storage {0} could not be found.'


class StorageBackendNotFound(NotFound):
    msg_fmt = 'Storage backend could not be found.'


class StorageDriverNotFound(NotFound):
    msg_fmt = "Storage driver '{0}' could not be found."


class SyncRunNotFound(NotFound):
    msg_fmt = 'Sync run {0} could not be found.'


class TaskNotFound(NotFound):
    msg_fmt = 'Task {0} could not be found.'


class FailedTaskNotFound(NotFound):
    msg_fmt = 'Failed task {0} could not be found.'


class StoragePoolNotFound(NotFound):
    msg_fmt = 'Storage pool {0} could not be found.'


class VolumeNotFound(NotFound):
    msg_fmt = 'Volume {0} could not be found.'


class ControllerNotFound(NotFound):
    msg_fmt = 'Controller {0} could not be found.'


class ControllerListNotFound(NotFound):
    msg_fmt = 'Controllers of storage {0} could not be found.'


class PortNotFound(NotFound):
    msg_fmt = 'Port {0} could not be found.'


class PortListNotFound(NotFound):
    msg_fmt = 'Ports of storage {0} could not be found.'


class DiskNotFound(NotFound):
    msg_fmt = 'Disk {0} could not be found.'


class FilesystemNotFound(NotFound):
    msg_fmt = 'Filesystem {0} could not be found.'


class QtreeNotFound(NotFound):
    msg_fmt = 'Qtree {0} could not be found.'


class QuotaNotFound(NotFound):
    msg_fmt = 'Quota {0} could not be found.'


class ShareNotFound(NotFound):
    msg_fmt = 'Share {0} could not be found.'


class StorageHostInitiatorNotFound(NotFound):
    msg_fmt = 'Storage host initiator {0} could not be found.'


class StorageHostNotFound(NotFound):
    msg_fmt = 'Storage host {0} could not be found.'


class StorageHostGroupNotFound(NotFound):
    msg_fmt = 'Storage host group {0} could not be found.'


class PortGroupNotFound(NotFound):
    msg_fmt = 'Port group {0} could not be found.'


class VolumeGroupNotFound(NotFound):
    msg_fmt = 'Volume group {0} could not be found.'


class MaskingViewNotFound(NotFound):
    msg_fmt = 'Masking view {0} could not be found.'


class StorageHostGrpHostRelNotFound(NotFound):
    msg_fmt = 'Storage host group relation {0} could not be found.'


class PortGrpPortRelNotFound(NotFound):
    msg_fmt = 'Port group relation {0} could not be found.'


class VolGrpVolRelationNotFound(NotFound):
    msg_fmt = 'Volume group relation {0} could not be found.'


class StorageBackendException(DelfinException):
    """The device said no."""

    msg_fmt = 'Exception from Storage Backend: {0}.'


class InvalidUsernameOrPassword(DelfinException):
    msg_fmt = 'Invalid username or password.'
    code = 400


class InvalidIpOrPort(DelfinException):
    msg_fmt = 'Invalid ip or port.'
    code = 400


class InvalidPrivateKey(DelfinException):
    msg_fmt = 'not a valid RSA private key.'
    code = 400


class SSHException(DelfinException):
    msg_fmt = 'Exception in SSH protocol negotiation or logic. {0}'


class SSHInjectionThreat(DelfinException):
    msg_fmt = 'SSH command injection detected: {0}.'


class SSHConnectTimeout(DelfinException):
    msg_fmt = 'SSH connect timeout.'


class SSHNotFoundKnownHosts(NotFound):
    msg_fmt = '{0} not found in known_hosts.'
    code = 400


class SSLCertificateFailed(Invalid):
    msg_fmt = 'The TLS certificate could not be verified.'


class SSLHandshakeFailed(Invalid):
    msg_fmt = 'The TLS handshake failed.'


class InvalidCAPath(DelfinException):
    msg_fmt = 'The CA path {0} does not exist.'


class ConnectTimeout(DelfinException):
    msg_fmt = 'Connection timed out.'


class HTTPConnectionTimeout(DelfinException):
    msg_fmt = 'HTTP connection timed out: {0}.'


class BadResponse(Invalid):
    msg_fmt = 'The device sent a bad response.'
    code = 500


class StorageMaxUserCountException(DelfinException):
    msg_fmt = 'The limit of logged-in users of the device is reached: {0}.'


class ImproperIPVersion(DelfinException):
    msg_fmt = 'Improper IP version: {0}.'


class StorageClearAlertFailed(DelfinException):
    msg_fmt = 'Clearing the alert failed. {0}'


class StorageListAlertFailed(DelfinException):
    msg_fmt = 'Listing the alerts failed. {0}'


class IncompleteTrapInformation(DelfinException):
    """Raised by `parse_alert` to ask for an alert sync; argument: storage id."""

    msg_fmt = 'The trap of storage {0} does not carry enough information.'


class SNMPConnectionFailed(BadRequest):
    msg_fmt = 'The SNMP connection failed. {0}'


class DriverCallTimeout(DelfinException):
    """A driver call passed its deadline; arguments: method, storage id, seconds."""

    msg_fmt = '{0} of storage {1} did not answer within {2} seconds and was abandoned.'
    code = 504


class StorageQuarantined(DelfinException):
    """Calls to a storage pause after its driver hung; arguments: storage id, until when (RFC 3339)."""

    msg_fmt = 'Storage {0} is quarantined until {1} because its driver did not return from earlier calls.'
    code = 503


class InvalidStorageCapability(Invalid):
    msg_fmt = 'Invalid capability: {0}'
    code = 500


class StorageCapabilityNotSupported(Invalid):
    msg_fmt = 'Capability feature not supported by storage.'
    code = 501


class EmptyResourceMetrics(DelfinException):
    msg_fmt = 'The capabilities name no metrics.'
    code = 501


class StoragePerformanceCollectionFailed(DelfinException):
    msg_fmt = 'Collecting performance metrics failed. {0}'


class TelemetryTaskExecError(DelfinException):
    msg_fmt = 'Telemetry task failed.'


class ServiceUnavailable(DelfinException):
    """No task service, broker or database; argument: what is missing and what to do."""

    msg_fmt = '{0}'
    code = 503


class InvalidConfiguration(DelfinException):
    """The configuration cannot work; argument: one line that says what to set."""

    msg_fmt = '{0}'


class SecretUnreadable(DelfinException):
    """Unknown key, wrong row or damaged text; argument: which and what to do."""

    msg_fmt = 'A stored secret cannot be opened: {0}'


class LockCreationFailed(DelfinException):
    msg_fmt = 'Creating a lock failed.'


class LockAcquisitionFailed(DelfinException):
    msg_fmt = 'Acquiring a lock failed.'


class DuplicateExtension(DelfinException):
    msg_fmt = 'Found duplicate extension: {0}.'
