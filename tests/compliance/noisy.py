# SPDX-License-Identifier: Apache-2.0
"""A module whose import does something else besides."""

from tests.compliance.toy import CleanDriver

print('loading the most beautiful driver of all')


class NoisyDriver(CleanDriver):
    """Driver of the toy array."""
