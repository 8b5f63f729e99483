"""Where the kernels and the configuration lie: inside an installed package, or beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _folder(name):
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name


KERNELS = _folder("kernels")
CONF = _folder("conf")
