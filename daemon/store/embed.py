"""embed.py OUT SCRIPT.lua...: a C file with each script as redis_scripts.h declares it."""

import hashlib
import os
import sys

out, *paths = sys.argv[1:]
lines = ['#include "store/redis_scripts.h"', ""]
for path in paths:
    with open(path, "rb") as file:
        text = file.read()
    name = os.path.splitext(os.path.basename(path))[0]
    numbers = ",".join(str(byte) for byte in text)
    lines += [f"static const char {name}[] = {{{numbers}}};",
              f"const struct redis_script redis_script_{name} = {{",
              f'\t"{hashlib.sha1(text).hexdigest()}", {name}, sizeof({name})}};', ""]
with open(out, "w", encoding="ascii") as file:
    file.write("\n".join(lines))
