"""Opens zip archives of weights, .npz and .pth, within limits."""

import zipfile
from typing import BinaryIO

from jax_bt.errors import WeightsError
from jax_bt.weights._limits import most_bytes, shown


class Archive:
    """Members of a zip archive by name, each read whole and checked against its checksum.

    Attributes:
      sizes: bytes of each member, unpacked.
    """

    def __init__(self, file: BinaryIO, file_size: int):
        try:
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
        except Exception as error:  # zipfile raises what its parts raise: struct, ValueError, ...
            raise WeightsError(
                f"is no whole zip archive: it is cut short or damaged ({shown(error)[1:-1]})"
            ) from None
        self.sizes = {member.filename: member.file_size for member in members}
        if len(self.sizes) < len(members):
            raise WeightsError("its zip archive has two members of the same name")
        total = sum(self.sizes.values())
        if total > most_bytes(file_size):
            raise WeightsError(f"its {file_size:,} bytes would unpack to {total:,}")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise WeightsError(f"member {shown(member.filename)} is compressed by another way")
            if member.compress_size > file_size:
                raise WeightsError(f"member {shown(member.filename)} is longer than the file")

    def read(self, name: str) -> bytes:
        """All bytes of one member."""
        try:
            content = self._zip.read(name)
        except Exception as error:  # zlib.error, BadZipFile, EOFError, RuntimeError, ...
            raise WeightsError(f"member {shown(name)} is damaged ({shown(error)[1:-1]})") from None
        if len(content) != self.sizes[name]:
            raise WeightsError(f"member {shown(name)} is cut short")
        return content
