# SPDX-License-Identifier: Apache-2.0
"""Tools of driver authors: what `delfin-driver` does, and what is generated from the tables of the contract."""
