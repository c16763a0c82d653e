#!/bin/sh
# render.sh SCDOC SOURCE: the manual page. scdoc turns hyphenation off too early for groff 1.22, whose TH
# turns it on again: names of files and keys are not to be broken. On a terminal a page has no end that a
# table could run into; the first line tells man that tbl is wanted.
set -eu
page=$("$1" <"$2")
printf '%s\n' "'\\\" t"
printf '%s\n' "$page" | sed -e '/^[.]TH /a .nh' -e '/^[.]TH /a .if n .pl 9999v'
