#!/bin/sh
# Writes the corpora again: of what `fuzz.py run` has found in target/, at most $1 inputs for each target, the smallest first.
cd "$(dirname "$0")" || exit 1
for target in pid_file environment calls; do
    find "../../target/memory/fuzz/found/$target" -type f ! -name 'crash-*' ! -name 'leak-*' ! -name 'timeout-*' -size -2 |
        xargs -r ls -Sr | awk -v most="${1:-80}" '{ all[NR] = $0 } END { for (i = 1; i <= most && i <= NR; i++) print all[int((i - 1) * NR / (most < NR ? most : NR)) + 1] }' |
        while read -r file; do cp "$file" "corpus/$target/"; done
done
