# SPDX-License-Identifier: Apache-2.0
"""Delfin: one REST service through which storage arrays of every vendor are seen, synced and monitored."""
