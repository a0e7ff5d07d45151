# SPDX-License-Identifier: MIT
"""Writes the results of make bench into the page: page.py JSON PAGE."""

import json
import os
import sys

from table import put_into

source, page = sys.argv[1:]
with open(source, encoding="utf-8") as f:
    report = json.load(f)
with open(page, encoding="utf-8") as f:
    document = put_into(f.read(), report)
with open(page + ".part", "w", encoding="utf-8") as f:
    f.write(document)
os.replace(page + ".part", page)
