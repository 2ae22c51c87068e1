# SPDX-License-Identifier: Apache-2.0
"""Everything that talks to arrays: the contract, the manager that loads drivers, the door, and the drivers."""
