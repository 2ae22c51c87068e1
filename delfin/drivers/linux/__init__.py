# SPDX-License-Identifier: Apache-2.0
"""A Linux machine as a storage: read-only, as far as possible without root, here or over SSH."""

from delfin.drivers.linux.driver import LinuxHostDriver

__all__ = ['LinuxHostDriver']
