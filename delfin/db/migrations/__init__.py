# SPDX-License-Identifier: Apache-2.0
"""Schema migrations (Alembic). `columns` holds the helpers they share; a released migration never changes."""
