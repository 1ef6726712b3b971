/* verdict.c - what the lanes' word on a stored command means for its row. */
#include "write-service/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "write-service/retry.h"

enum { ANSWER_MAX_BYTES = 4 << 20 };

/* What weir.run_stored said, inside {"command_id":"…","result":"word",…}. */
static bool said(const wsvc_outcome *out, const char *word)
{
    char want[40];
    (void)snprintf(want, sizeof want, "\"result\":\"%s\"", word);
    return out->text && strstr(out->text, want);
}

static char *sound_text(const char *text)
{
    return weir_xstrdup(text && weir_utf8_ok(weir_slice_z(text)) ? text
                                                                 : "the error cannot be told");
}

/* {"error": {"message", and the members of the problem}}, as the wrapper would have said it. */
static char *rejection(const wsvc_outcome *out)
{
    weir_buf b;
    char *message = sound_text(out->text);
    bool members = out->members && *out->members && weir_utf8_ok(weir_slice_z(out->members));
    weir_buf_init(&b, ANSWER_MAX_BYTES);
    weir_buf_putz(&b, "{\"error\":{\"message\":");
    weir_json_quote(&b, weir_slice_z(message));
    if (members) {
        weir_buf_putz(&b, ",");
        weir_buf_putz(&b, out->members);
    }
    weir_buf_putz(&b, "}}");
    weir_buf_u8(&b, 0);
    size_t n;
    char *text = b.failed ? NULL : weir_buf_take(&b, &n);
    weir_buf_fini(&b);
    free(message);
    return text;
}

bool wsvc_verdict_of(const wsvc_outcome *out, int lost, wsvc_stored *s)
{
    if (out->status == 200) {
        /* Skipped: another has it, or had it. When that one gives up, the row must not stay ours.
         */
        bool skipped = said(out, "skipped");
        s->verdict = skipped ? WSVC_VERDICT_LATER : WSVC_VERDICT_DONE;
        return !skipped && !said(out, "blocked");
    }
    if (out->type && strcmp(out->type, WSVC_TYPE_UNKNOWN) == 0) {
        s->verdict = WSVC_VERDICT_LATER; /* the row knows: if it is done, this changes nothing */
        return true;
    }
    if (out->status >= 400 && out->status < 500) {
        s->verdict = WSVC_VERDICT_REJECTED;
        s->answer = rejection(out);
        return true;
    }
    bool transient = out->status == 503 || out->status == 504;
    if (transient && !out->sqlstate[0] && lost < WSVC_LOST_MAX) {
        s->verdict = WSVC_VERDICT_LATER;
        return false;
    }
    s->reason = sound_text(out->text);
    s->verdict = transient ? WSVC_VERDICT_RETRY : WSVC_VERDICT_DEAD;
    if (s->verdict == WSVC_VERDICT_DEAD) {
        s->answer = rejection(out);
    }
    return !transient;
}
