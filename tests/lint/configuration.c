/* configuration.c - prints docs/configuration.md from the table of settings. */
#include <stdio.h>

#include "libweir/base/settings.h"

int main(void)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_settings_markdown(&b);
    bool ok = !b.failed && fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0;
    weir_buf_fini(&b);
    return ok ? 0 : 1;
}
