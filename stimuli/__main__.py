"""List the commands of this package: ``python -m stimuli``."""

from render.common.commands import print_package

print_package("stimuli")
