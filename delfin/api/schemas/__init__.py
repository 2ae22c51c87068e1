# SPDX-License-Identifier: Apache-2.0
"""Schemas of request bodies."""
