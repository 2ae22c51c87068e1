# SPDX-License-Identifier: Apache-2.0
"""How fast Delfin is compared with what its libraries could do at best; see `__main__`."""
