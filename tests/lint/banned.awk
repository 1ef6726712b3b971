# banned.awk - fails on calls with a better answer in the house. Escape: /* banned-ok: reason */ on the line or the one before.
BEGIN {
    n = split("strcpy stpcpy strcat strncat strncpy sprintf vsprintf strtok atoi atol atoll atof gets system popen " \
              "tmpnam mktemp alloca rand srand sleep usleep", list, " ")
    for (i = 1; i <= n; i++) why[list[i]] = "use weir_buf, snprintf, memcpy or weir_slice"
    why["atoi"] = why["atol"] = why["atoll"] = why["atof"] = "use weir_slice_i64"
    why["system"] = why["popen"] = "start the program itself, without a shell"
    why["sleep"] = why["usleep"] = "wait for a condition with a deadline"
    why["rand"] = why["srand"] = "use a seeded generator of your own, or getrandom"
    why["alloca"] = "use the arena"
    # In tests also the ways around sleep(); tests/support holds the one place that waits.
    test_only["nanosleep"] = "use weir_wait_until"
}
FNR == 1 { excused = 0; in_comment = 0 }
{
    line = $0
    excuse = line ~ /banned-ok: [A-Za-z]/
    gsub(/\\\\/, "", line); gsub(/\\"/, "", line); gsub(/"[^"]*"/, "\"\"", line)
    if (in_comment) { if (line ~ /\*\//) { sub(/^.*\*\//, "", line); in_comment = 0 } else line = "" }
    gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line); sub(/\/\/.*$/, "", line)
    if (line ~ /\/\*/) { sub(/\/\*.*$/, "", line); in_comment = 1 }
    if (!excuse && !excused && line ~ /\(/) check(line)
    excused = excuse
}
function check(text,   name) {
    while (match(text, /[A-Za-z_][A-Za-z0-9_]*[ ]*\(/)) {
        name = substr(text, RSTART, RLENGTH - 1); sub(/ +$/, "", name)
        if (RSTART > 1 && substr(text, RSTART - 1, 1) ~ /[.>]/) name = ""   # a member of the same name
        if (name in why) report(name, why[name])
        else if (name in test_only && FILENAME ~ /^tests\// && FILENAME !~ /^tests\/(support|bench)\//) report(name, test_only[name])
        text = substr(text, RSTART + RLENGTH)
    }
}
function report(name, reason) { printf "%s:%d: %s(): %s\n", FILENAME, FNR, name, reason; rc = 1 }
END { exit rc }
