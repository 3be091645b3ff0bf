from setuptools import Extension, setup

import foveate

setup(ext_modules=[Extension("pooling", ["pooling.c"], include_dirs=[foveate.get_include()])])
