"""One head, one plain library and one sampler for all tests of the renders; nothing of the source data is needed."""

import numpy as np
import pytest
from facequery.head.model import HeadModel
from facequery.synthesis.library import Library
from facequery.synthesis.samples import FaceSampler


@pytest.fixture(scope="session")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="session")
def library(model: HeadModel) -> Library:
    return Library.plain(model)


@pytest.fixture(scope="session")
def sampler(model: HeadModel, library: Library) -> FaceSampler:
    return FaceSampler(model=model, library=library)


@pytest.fixture(scope="session")
def binding(model: HeadModel):
    skin = model.rest[model.parts["skin"].vertices]
    return model.bind(skin[np.random.default_rng(0).choice(len(skin), 400, replace=False)])
