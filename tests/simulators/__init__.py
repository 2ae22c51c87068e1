# SPDX-License-Identifier: Apache-2.0
"""Devices for tests: servers on this machine that behave as arrays do, and as they should not."""
