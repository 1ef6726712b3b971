# Turns a text file into a C array: cmake -DIN=x.sql -DOUT=x.c -DSYM=name -P embed.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
file(WRITE ${OUT} "extern const char ${SYM}[];\nconst char ${SYM}[] = {${bytes}0};\n")
