# SPDX-License-Identifier: Apache-2.0
"""IBM Storwize, SVC and FlashSystem (Spectrum Virtualize) over their CLI; for operators: docs/drivers/ibm-storwize.md.

Start at `tables`: what the CLI says and what Delfin makes of it. `driver` which commands that takes, `session` how they
are asked, `inventory` what is put together of several answers; `alerts` event log and traps, `statistics` the files
with counters, `counting` what becomes of them; `variants` products with other names.
"""

from delfin.drivers.ibm.storwize_svc.driver import StorwizeDriver

__all__ = ['StorwizeDriver']
