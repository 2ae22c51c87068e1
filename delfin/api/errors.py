# SPDX-License-Identifier: Apache-2.0
"""The one table of HTTP statuses, and the one shape of error bodies."""

from __future__ import annotations

from typing import Any

import webob

from delfin import exception
from delfin.common import json
from delfin.common.text import clean, printable
from delfin.kinds import BIGINT_MAX

# First match wins. Exceptions that are not listed are 500: our own bugs, or not yet thought about.
_STATUS: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((exception.RequestBodyTooLarge,), 413),
    ((exception.InvalidContentType,), 415),
    ((exception.MethodNotAllowed,), 405),
    ((exception.StorageAlreadyExists, exception.StorageIsSyncing, exception.StorageSerialNumberMismatch,
      exception.AlertIsNotOpen), 409),
    ((exception.StorageCapabilityNotSupported, exception.EmptyResourceMetrics), 501),
    # The array answered, but with rubbish or a refusal of its own.
    ((exception.BadResponse, exception.InvalidResults, exception.StorageBackendException, exception.SSHException,
      exception.StorageMaxUserCountException, exception.InvalidStorageCapability, exception.StorageListAlertFailed,
      exception.StorageClearAlertFailed, exception.StoragePerformanceCollectionFailed), 502),
    ((exception.ServiceUnavailable, exception.StorageQuarantined), 503),
    # The array did not answer in time.
    ((exception.DriverCallTimeout, exception.ConnectTimeout, exception.SSHConnectTimeout,
      exception.HTTPConnectionTimeout), 504),
    ((exception.SSHNotFoundKnownHosts,), 400),
    ((exception.NotAuthorized,), 403),
    ((exception.NotFound,), 404),
    ((exception.Invalid, exception.InvalidUsernameOrPassword, exception.InvalidIpOrPort,
      exception.InvalidPrivateKey), 400),
)
_RETRY_AFTER_SECONDS = 5


def status_of(error: Exception) -> int:
    """HTTP status of an error."""
    for classes, status in _STATUS:
        if isinstance(error, classes):
            return status
    return 500


def response(error: exception.DelfinException, request_id: str) -> webob.Response:
    """The error as an answer: flat JSON, never a trace."""
    status = status_of(error)
    result = webob.Response(status=status, content_type='application/json', charset='UTF-8')
    result.body = json.dumps({
        'error_code': error.error_code, 'error_msg': clean(error.msg),
        'error_args': [_plain(argument) for argument in error.error_args], 'request_id': request_id})
    if status == 503:
        result.headers['Retry-After'] = str(_RETRY_AFTER_SECONDS)
    if isinstance(error, exception.MethodNotAllowed):
        result.headers['Allow'] = str(error.error_args[1])
    return result


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | None) and abs(value or 0) <= BIGINT_MAX else printable(value)
