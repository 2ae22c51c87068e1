# SPDX-License-Identifier: Apache-2.0
"""`python -m etc.monitoring`: write the files."""

from etc.monitoring import ROOT, files

for path, text in files():
    (ROOT / path).write_text(text, encoding='utf-8')
