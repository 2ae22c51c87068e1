# SPDX-License-Identifier: Apache-2.0
"""Metrics: what can be measured, when it is collected, what is believed of it, and how far it has got."""
