# SPDX-License-Identifier: MIT
"""The one kind of error that a user is shown without a traceback."""


class TrainError(Exception):
    """Names the thing that is wrong and what to do about it."""
