# SPDX-License-Identifier: Apache-2.0
"""The REST API: validates, reads the database, calls the task service. It never talks to an array."""
