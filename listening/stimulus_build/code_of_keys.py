"""The code that the keys of a build depend on, read where this module is imported.

To find all import statements takes 0.6 s: `render.common.parallel.workers_need` has it done once for all workers.
"""

from render.common.code_digest import source_files

source_files("listening.stimulus_build.item_builder")
