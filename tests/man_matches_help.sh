#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The man pages against the program: every long option of a command's --help stands in that
# command's section of slipring(1) and the reverse, every key of the YAML file in
# slipring.yaml(5) and the reverse, and the examples are accepted.
#
#   man_matches_help.sh SLIPRING SOURCE-FOLDER
set -u
slipring=$1
page=$2/man/slipring.1
yaml_page=$2/man/slipring.yaml.5
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

complain() { echo "$1"; failed=1; }

# What diff finds is told line by line: < only in the program, > only in the man page.
same() { # WHAT PROGRAM PAGE
  [ -s "$2" ] || complain "$1: the program lists nothing"
  diff "$2" "$3" > "$tmp/diff" && return
  complain "$1: < is only in the program, > only in the man page"
  grep '^[<>]' "$tmp/diff"
}

common='^--(help|usage|version)$'
options() { grep -oE -e '(^|[^-[:alnum:]])--[a-z][a-z-]+' | grep -oE -e '--[a-z-]+' | sort -u; }

# The options that a paragraph of the page begins with.
documented() { sed 's/\\-/-/g' | grep -E '^\.BR? ' | grep -A0 -E -e ' --' | options; }

section() { # HEADING: the lines up to the next heading that have .TP before them
  awk -v head=".SS $1" '/^\.S[SH]/ { on = ($0 == head) } on && tp; { tp = ($0 == ".TP") }' "$page"
}

# Options stand at the start of help's lines; its prose may name those of other commands.
helped() { grep -E '^  (-.,|   ) --' | grep -oE -e '^  (-.,|   ) --[a-z-]+' | options; }

for command in switch serve blk scsi ctl "bench net" "bench blk" "bench scsi"; do
  # shellcheck disable=SC2086 # "bench net" is two words
  "$slipring" $command --help < /dev/null > "$tmp/help" || complain "$command --help fails"
  helped < "$tmp/help" | grep -vE -e "$common" > "$tmp/program"
  section "slipring $command" | documented > "$tmp/page"
  same "slipring $command" "$tmp/program" "$tmp/page"
  for option in help usage version; do
    grep -qE -e "--$option( |\$)" "$tmp/help" || complain "slipring $command: no --$option"
  done
done
"$slipring" --help | helped > "$tmp/program"
awk '/^\.SH/ { on = ($0 == ".SH OPTIONS") } on && tp; { tp = ($0 == ".TP") }' "$page" |
  documented > "$tmp/page"
same "slipring" "$tmp/program" "$tmp/page"

# Refusing an unknown key, the program lists those it knows.
known() { # YAML
  printf '%b' "$1" > "$tmp/file.yaml"
  "$slipring" serve --check "$tmp/file.yaml" 2>&1 |
    sed -n 's/.*unknown, expected one of //p' | tr -d ' ' | tr ',' '\n' | sort
}
keys() { # HEADING
  awk -v head="$1" '/^\.S[SH]/ { on = ($0 == head) } on && tp && $1 == ".B" { print $2 }
                    { tp = ($0 == ".TP") }' "$yaml_page" | sed 's/\\-/-/g' | sort
}
for where in ".SH KEYS|x: 1\n" ".SS control|control: {x: 1}\n" ".SS switch|switch: {x: 1}\n" \
  ".SS ports|ports: [{x: 1}]\n" ".SS disks|disks: [{x: 1}]\n" ".SS blk|blk: [{x: 1}]\n" \
  ".SS scsi|scsi: [{x: 1}]\n" ".SS luns|scsi: [{name: a, socket: b, luns: [{x: 1}]}]\n"; do
  known "${where#*|}" > "$tmp/program"
  keys "${where%%|*}" > "$tmp/page"
  same "slipring.yaml ${where%%|*}" "$tmp/program" "$tmp/page"
done

awk '/^\.EE/ { on = 0 } on; /^\.EX/ { on = 1 }' "$yaml_page" | sed 's/\\-/-/g' > "$tmp/man.yaml"
for example in "$tmp/man.yaml" "$2"/examples/*.yaml; do
  "$slipring" serve --check "$example" > "$tmp/out" 2>&1 || complain "$(cat "$tmp/out")"
done

for p in "$page" "$yaml_page"; do
  command -v mandoc > /dev/null || break
  mandoc -T lint -W warning "$p" | grep -vE 'missing date|unusual Xr' && complain "mandoc: $p"
done
exit $failed
