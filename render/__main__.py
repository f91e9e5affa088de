"""List the commands of this package: ``python -m render``."""

from render.common.commands import print_package

print_package("render")
