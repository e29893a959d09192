import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from flat_head import flat_head


@pytest.fixture(scope="session")
def head():
    return flat_head()
