# SPDX-License-Identifier: Apache-2.0
"""What makes files of this checkout; nothing here is installed."""
