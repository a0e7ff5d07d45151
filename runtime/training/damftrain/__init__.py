# SPDX-License-Identifier: MIT
"""Training of encoders with DAMF attention."""
