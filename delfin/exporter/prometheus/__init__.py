# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus: scraped from every node, or written to a receiver of remote write.

For operators: docs/metrics-in-prometheus.md.
"""
