# SPDX-License-Identifier: Apache-2.0
"""SNMP notifications: reading, authenticating and answering them."""
