# SPDX-License-Identifier: Apache-2.0
"""The alert service: receives what arrays send."""
