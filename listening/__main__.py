"""List the commands of this package: ``python -m listening``."""

from render.common.commands import print_package

print_package("listening")
