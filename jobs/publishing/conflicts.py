"""Changes of a table that somebody else may change meanwhile: looked at anew until nobody was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from jobs.errors import EciError, reason_of

T = TypeVar("T")

LONGEST = 5
"""The wait grows with the tries up to so many times."""


def until_alone(
    attempt: Callable[[], T], is_conflict: Callable[[Exception], bool], tries: int, failed: str, wait: float = 0.0
) -> T:
    """Return what an attempt gives; where somebody else was faster it is made again.

    Args:
        is_conflict: whether an error of the attempt says that.  tries: attempts at most.
        failed: what an error begins with.  wait: seconds between two attempts, on average.

    Raises:
        EciError: the attempt's own, or that it failed for another reason or too often.
    """
    for tried in range(tries):
        try:
            return attempt()
        except EciError:
            raise
        except Exception as error:  # the libraries' are of many kinds, and those of their catalogs
            last = error
            if not is_conflict(error):
                break
            time.sleep(random.uniform(0, 2 * wait) * min(tried + 1, LONGEST))
    why = reason_of(last)
    raise EciError(f"{failed}: {f'the disk is full ({why})' if 'No space left' in why else why}") from last
