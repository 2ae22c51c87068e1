# SPDX-License-Identifier: Apache-2.0
"""Options, constants and small shared mechanisms."""
