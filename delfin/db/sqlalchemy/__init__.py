# SPDX-License-Identifier: Apache-2.0
"""Tables, declared with SQLAlchemy Core."""
