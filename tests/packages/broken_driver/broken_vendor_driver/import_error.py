# SPDX-License-Identifier: Apache-2.0
"""Raises when it is imported, and not an ImportError at that."""

raise RuntimeError('this module of a broken driver raises when it is imported')
