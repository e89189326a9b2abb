"""The run that others are compared with."""

import pytest
from helpers import program


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """The tiny run by one process on four devices, never interrupted; its folder."""
    workdir = tmp_path_factory.mktemp("alone")
    program.end(program.start(workdir, devices=4))
    return workdir
