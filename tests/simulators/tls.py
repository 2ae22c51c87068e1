# SPDX-License-Identifier: Apache-2.0
"""TLS servers on loopback and certificates of every kind: those that authors of drivers have, too."""

from delfin.drivers.kit.simulator import Answer, Authority, Certificate, Request, TlsServer, self_signed

__all__ = ['Answer', 'Authority', 'Certificate', 'Request', 'TlsServer', 'self_signed']
