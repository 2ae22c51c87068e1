# SPDX-License-Identifier: Apache-2.0
"""Scratch files of older drivers: see the package above."""
