# SPDX-License-Identifier: Apache-2.0
"""Ends the process when it is imported, like a script without a main guard."""

import sys

sys.exit('this module of a broken driver calls sys.exit() when it is imported')
