import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_head import ToyHead


@pytest.fixture(scope="session")
def head() -> ToyHead:
    return ToyHead()
