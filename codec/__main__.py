"""List the commands of this package: ``python -m codec``."""

from render.common.commands import print_package

print_package("codec")
