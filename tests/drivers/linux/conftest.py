# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.drivers.linux.replay import RecordedMachine


@pytest.fixture
def lab() -> RecordedMachine:
    """A server with every kind of disk, md, LVM, btrfs, a bond, NFS; asked as root."""
    return RecordedMachine('lab')


@pytest.fixture
def lab_as_nobody() -> RecordedMachine:
    """The same server, asked without rights."""
    return RecordedMachine('lab-nobody')


@pytest.fixture
def degraded_lab() -> RecordedMachine:
    """The same server after half of its devices were taken away."""
    return RecordedMachine('lab-degraded')


@pytest.fixture
def small_guest() -> RecordedMachine:
    """A Firecracker guest with one virtio disk and no udev."""
    return RecordedMachine('firecracker')
