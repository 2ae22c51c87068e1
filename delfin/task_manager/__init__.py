# SPDX-License-Identifier: Apache-2.0
"""The task service: the only one that opens sessions to arrays. Registration, inventory sync, removal."""
