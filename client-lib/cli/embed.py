"""embed.py OUT FILE...: a C file with completion_scripts[] of completion_command.h, a row for each file:
its ending, which is the shell's name, and its text."""

import os
import sys

out, *paths = sys.argv[1:]
lines = ['#include "completion_command.h"', "", "#include <stddef.h>", "",
         "const struct completion_script completion_scripts[] = {"]
for path in paths:
    with open(path, "rb") as file:
        text = ",".join(str(byte) for byte in file.read())
    lines.append(f'\t{{"{os.path.splitext(path)[1][1:]}", (const char[]){{{text},0}}}},')
lines += ["\t{NULL, NULL}};", ""]
with open(out, "w", encoding="ascii") as file:
    file.write("\n".join(lines))
