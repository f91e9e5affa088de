"""A listening test as data: its plan, its pages, what its listeners did, and the ratings that follow from it."""
