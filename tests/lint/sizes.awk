# sizes.awk - first line names file and purpose; files end before 800 lines, functions before 80.
function base(p) { sub(/^.*\//, "", p); return p }
function bad(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; rc = 1 }
function end_of_file() { if (lines > 800) { printf "%s: %d lines, 800 at most: split it by noun\n", file, lines; rc = 1 } }
FNR == 1 {
    if (NR > 1) end_of_file()
    file = FILENAME; start = 0
    want = "/* " base(FILENAME) " - "
    if (substr($0, 1, length(want)) != want) bad("the first line must be `" want "purpose`")
}
{ lines = FNR }
/\r$/ { bad("carriage return") }
/^[A-Za-z_].*\(/ { name = $0; sub(/\(.*$/, "", name); sub(/^.*[ *]/, "", name) }
/^{/ { start = FNR }
/^}/ {
    if (start && FNR - start - 1 > 80) bad(sprintf("%s has %d lines, 80 at most", name, FNR - start - 1))
    start = 0
}
END { end_of_file(); exit rc }
