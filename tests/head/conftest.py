import numpy as np
import pytest
from facequery.head import HeadModel


@pytest.fixture(scope="session")
def model():
    return HeadModel.load()


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def weights(model):
    """Expression weights by name."""

    def make(**named):
        out = np.zeros(len(model.expression_names))
        for name, value in named.items():
            out[model.expression_names.index(name)] = value
        return out

    return make
