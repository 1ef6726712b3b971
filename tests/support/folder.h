/* folder.h - a fresh folder for one test, and what is in it afterwards. */
#ifndef WEIR_TESTS_SUPPORT_FOLDER_H
#define WEIR_TESTS_SUPPORT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Below TMPDIR or /tmp. false: printed why. */
bool folder_make(char *out, size_t size);
void folder_remove(const char *dir); /* with everything in it */
/* Calls fn for every regular file below dir, sorted by path (relative to dir). Returns how many. */
size_t folder_each(const char *dir, void (*fn)(void *arg, const char *path), void *arg);

#endif
