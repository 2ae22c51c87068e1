# SPDX-License-Identifier: Apache-2.0
"""Drivers that cannot be loaded; see setup.py."""
