"""What a machine must have for a test, and what becomes of the test where it has not."""

import os

import pytest


def lacking(what):
    """Skips a test; fails it in the full run, whose claims may not rest on what was left out."""
    if os.environ.get("HORMESIS_FULL"):
        pytest.fail(f"the full run leaves nothing out: {what}", pytrace=False)
    pytest.skip(what)
