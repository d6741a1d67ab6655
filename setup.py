"""Installs QMap: the module qmap, the package qmap_backends, and the command qmap."""

import os
import re

from setuptools import setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    """Return the text of a file beside this one."""
    with open(os.path.join(HERE, name), encoding='utf-8') as source:
        return source.read()


setup(
    name='qmap',
    version=re.search(r"^__version__ = '(.+)'", read('qmap.py'), re.MULTILINE).group(1),
    description='Run many similar shell commands in parallel, on one machine or a cluster, and never lose one',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache License 2.0',
    py_modules=['qmap'],
    packages=['qmap_backends', 'qmap_backends.tools'],
    package_data={'qmap_backends': ['manual/*.md']},
    python_requires='>=3.6',
    install_requires=['filelock'],
    entry_points={'console_scripts': ['qmap = qmap:entry']},
    classifiers=[
        'Environment :: Console',
        'Intended Audience :: Science/Research',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering',
        'Topic :: System :: Distributed Computing',
    ],
)
