"""Compiles every module below SITE: compile.py PREFIX SITE OUT. Bytecode goes to OUT at its place relative to PREFIX."""
import os
import py_compile
import sys
from importlib.util import cache_from_source

prefix, site, out = sys.argv[1:]
os.makedirs(out)
for directory, names, files in os.walk(site):
    names.sort()
    for file in sorted(files):
        if not file.endswith(".py"):
            continue
        source = os.path.join(directory, file)
        target = os.path.join(out, os.path.relpath(cache_from_source(source), prefix))
        try:
            # Sources in a tree never change in place, so nothing has to be compared when they are loaded.
            py_compile.compile(
                source, cfile=target, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
            )
        except py_compile.PyCompileError as error:
            # Templates and code for other versions of Python lie in many packages; other installers skip them too.
            print("hewn: not compiled:", error.msg.strip().splitlines()[-1], source)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            print("hewn: not compiled:", error, source)
