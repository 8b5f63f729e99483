"""Writing: a product appears under its name when it is complete, and leaves nothing behind when it fails."""

import errno
import os

import pytest

from gpucal.errors import OutputError
from gpucal.model import pack, write
from gpucal.model.save import whole_file


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that is found to be full when the bytes must reach it."""

    def refuse(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.parametrize("ending", [".fits", ".asdf"])
def test_nothing_is_left_when_the_disk_is_full(ramp, tmp_path, full_disk, ending):
    path = tmp_path / f"product{ending}"
    with pytest.raises(OutputError, match=rf"{path}: cannot be written: No space left on device"):
        ramp([1, 2, 3]).save(path)
    assert list(tmp_path.iterdir()) == []


def test_product_that_was_there_stays_when_the_disk_is_full(ramp, tmp_path, full_disk):
    path = tmp_path / "product.fits"
    path.write_bytes(b"the one before")
    with pytest.raises(OutputError):
        ramp([1, 2, 3]).save(path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_waiting_for_the_disk_can_be_left_out(ramp, tmp_path, full_disk):
    path = tmp_path / "product.fits"
    write(pack(ramp([1, 2, 3])), path, durable=False)
    assert path.is_file()


def test_nothing_is_left_when_the_program_fails_halfway(tmp_path):
    def fail_halfway():
        with whole_file(tmp_path / "product.fits") as file:
            file.write(b"half of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


def test_name_appears_only_when_the_file_is_complete(tmp_path):
    path = tmp_path / "product.fits"
    with whole_file(path) as file:
        file.write(b"half of it")
        assert not path.exists()
    assert path.read_bytes() == b"half of it"


def test_missing_folders_are_made(ramp, tmp_path):
    path = tmp_path / "some" / "where" / "product.fits"
    ramp([1, 2, 3]).save(path)
    assert path.is_file()


def test_folder_that_cannot_be_made_is_named(ramp, tmp_path):
    (tmp_path / "some").write_text("a file, not a folder")
    path = tmp_path / "some" / "product.fits"
    with pytest.raises(OutputError, match=rf"{path}: cannot be written: "):
        ramp([1, 2, 3]).save(path)


def test_folder_in_place_of_the_product_is_named(ramp, tmp_path):
    path = tmp_path / "product.fits"
    path.mkdir()
    with pytest.raises(OutputError, match=rf"{path}: cannot be written: Is a directory"):
        ramp([1, 2, 3]).save(path)
    assert list(tmp_path.iterdir()) == [path]
