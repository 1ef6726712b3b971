/* replay.c - runs a fuzz target over files and folders of a corpus, where there is no libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { FILE_MAX_BYTES = 1 << 20 };

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        perror(path);
        return 1;
    }
    uint8_t *buf = malloc(FILE_MAX_BYTES);
    size_t n = buf ? fread(buf, 1, FILE_MAX_BYTES, f) : 0;
    (void)fclose(f);
    /* Exactly as large as the input, so that one byte too far is seen. */
    uint8_t *exact = realloc(buf, n ? n : 1);
    int rc = exact ? LLVMFuzzerTestOneInput(exact, n) : 1;
    free(exact ? exact : buf);
    return rc;
}

static int replay_dir(const char *path, size_t *files)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int rc = 0;
    if (!d) {
        perror(path);
        return 1;
    }
    while (rc == 0 && (e = readdir(d)) != NULL) {
        char name[4096];
        if (e->d_name[0] == '.' ||
            snprintf(name, sizeof name, "%s/%s", path, e->d_name) >= (int)sizeof name) {
            continue;
        }
        rc = replay_file(name);
        ++*files;
    }
    (void)closedir(d);
    return rc;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int rc = 1;
        if (stat(argv[i], &st) == 0) {
            rc =
                S_ISDIR(st.st_mode) ? replay_dir(argv[i], &files) : (files++, replay_file(argv[i]));
        }
        if (rc != 0) {
            (void)fprintf(stderr, "%s failed\n", argv[i]);
            return 1;
        }
    }
    (void)printf("%zu inputs\n", files);
    return files ? 0 : 1; /* a corpus that is not there must not look like a success */
}
