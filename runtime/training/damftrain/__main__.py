# SPDX-License-Identifier: MIT
"""python3 -m damftrain COMMAND"""

import sys

from .cli import main

sys.exit(main())
