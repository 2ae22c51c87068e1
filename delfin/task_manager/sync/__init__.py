# SPDX-License-Identifier: Apache-2.0
"""Inventory sync: coerce what a driver answers, compare it with what is stored, write the difference, delete last."""
