/* codec_samples.h - one encoded sample of every frame event, feed request and reply: golden files
 * and fuzz seeds. */
#ifndef WEIR_TESTS_CODEC_SAMPLES_H
#define WEIR_TESTS_CODEC_SAMPLES_H

#include "libweir/base/buf.h"
#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"

typedef enum sample_kind {
    SAMPLE_FRAME,
    SAMPLE_RELATION,
    SAMPLE_REQUEST,
    SAMPLE_REPLY
} sample_kind;

typedef struct codec_sample {
    const char *name; /* "frame-insert" */
    sample_kind kind;
    weir_feed_op op; /* REPLY */
    void (*make)(weir_buf *out);
} codec_sample;

extern const codec_sample codec_samples[];
extern const size_t codec_samples_count;

/* Encodes again what was decoded: equal to the input for every well-formed, minimal encoding. */
void sample_encode_event(weir_buf *out, const weir_frame_head *head, const weir_ev *ev, size_t n);

#endif
