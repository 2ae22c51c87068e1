# SPDX-License-Identifier: Apache-2.0
"""Alerts on their way to other systems. For operators and authors of exporters: docs/exporters.md."""
