"""List the commands of this package: ``python -m analysis``."""

from render.common.commands import print_package

print_package("analysis")
