/* codec_samples.c - one encoded sample of every frame event, feed request and reply. */
#include "tests/support/codec_samples.h"

#define S(lit) WEIR_SLICE_LIT(lit)
#define TEXT(lit)                                                                                  \
    {                                                                                              \
        WEIR_VAL_TEXT,                                                                             \
        {                                                                                          \
            lit, sizeof(lit) - 1                                                                   \
        }                                                                                          \
    }
#define LONG_TEXT                                                                                  \
    "a text that is longer than thirty-one bytes, so that its length needs a byte of its own: "    \
    "\xc3\xa4\xc3\xb6\xc3\xbc"

static weir_val new_vals[] = {TEXT("42"), TEXT(LONG_TEXT), {WEIR_VAL_NULL, {NULL, 0}}, TEXT("")};
static weir_val toast_vals[] = {
    TEXT("43"), {WEIR_VAL_UNCHANGED, {NULL, 0}}, TEXT("t"), TEXT("1.50")};
static weir_val key_vals[] = {
    TEXT("42"), {WEIR_VAL_NULL, {NULL, 0}}, {WEIR_VAL_NULL, {NULL, 0}}, {WEIR_VAL_NULL, {NULL, 0}}};
static weir_val bound_vals[] = {TEXT("1000")};
static const weir_tuple new_row = {4, new_vals}, toast_row = {4, toast_vals},
                        key_row = {4, key_vals}, bound = {1, bound_vals};

static const weir_frame_head tx_head = {.kind = WEIR_FRAME_TX,
                                        .part = 2,
                                        .xid = 4000000001U,
                                        .commit_lsn = 0x1600000028ULL,
                                        .commit_us = 812345678901234LL};

void sample_encode_event(weir_buf *out, const weir_frame_head *head, const weir_ev *ev, size_t n)
{
    weir_frame_enc e;
    weir_frame_begin(&e, out, head);
    for (size_t i = 0; i < n; i++) {
        weir_frame_put(&e, &ev[i]);
    }
    weir_frame_finish(&e, head->last, head->end_lsn);
}

static void last_part(weir_buf *out, const weir_ev *ev)
{
    weir_frame_head head = tx_head;
    head.last = true;
    head.end_lsn = 0x1600000058ULL;
    sample_encode_event(out, &head, ev, 1);
}

static void frame_empty(weir_buf *out)
{
    sample_encode_event(out, &tx_head, NULL, 0);
}
static void frame_insert(weir_buf *out)
{
    last_part(out, &(weir_ev){.kind = WEIR_EV_INSERT, .rel = 7, .new_row = new_row});
}
static void frame_update(weir_buf *out)
{
    weir_ev ev[] = {
        {.kind = WEIR_EV_UPDATE, .rel = 7, .new_row = toast_row},
        {.kind = WEIR_EV_UPDATE,
         .rel = 7,
         .old_kind = WEIR_OLD_KEY,
         .old_row = key_row,
         .new_row = toast_row},
        {.kind = WEIR_EV_UPDATE,
         .rel = 300,
         .old_kind = WEIR_OLD_ROW,
         .old_row = new_row,
         .new_row = toast_row},
    };
    sample_encode_event(out, &tx_head, ev, 3);
}
static void frame_delete(weir_buf *out)
{
    last_part(out, &(weir_ev){.kind = WEIR_EV_DELETE,
                              .rel = 70000,
                              .old_kind = WEIR_OLD_KEY,
                              .old_row = key_row});
}
static void frame_truncate(weir_buf *out)
{
    static const uint32_t rels[] = {1, 200, 70000};
    last_part(out, &(weir_ev){.kind = WEIR_EV_TRUNCATE, .flags = 3, .nrels = 3, .rels = rels});
}
static void frame_message(weir_buf *out)
{
    weir_ev ev = {.kind = WEIR_EV_MESSAGE,
                  .transactional = false,
                  .lsn = 0x16000000ULL,
                  .a = S("weir.command"),
                  .b = S("{\"id\":\"x\"}")};
    sample_encode_event(
        out, &(weir_frame_head){.kind = WEIR_FRAME_MESSAGE, .last = true, .end_lsn = 5}, &ev, 1);
}
static void frame_origin(weir_buf *out)
{
    last_part(out, &(weir_ev){.kind = WEIR_EV_ORIGIN, .lsn = 0xABCD, .a = S("dc2")});
}
static void frame_type(weir_buf *out)
{
    last_part(out,
              &(weir_ev){.kind = WEIR_EV_TYPE, .oid = 16414, .a = S("public"), .b = S("mood")});
}
static void frame_chunk(weir_buf *out)
{
    weir_ev ev[] = {
        {.kind = WEIR_EV_READ, .rel = 7, .new_row = new_row},
        {.kind = WEIR_EV_RANGE, .rel = 7, .copy_id = S("init"), .new_row = bound},
        {.kind = WEIR_EV_RANGE, .rel = 7, .copy_id = S("init"), .old_row = bound},
        {.kind = WEIR_EV_COPIED,
         .rel = 0,
         .copy_id = S("init"),
         .a = S("public"),
         .b = S("orders")},
    };
    sample_encode_event(
        out, &(weir_frame_head){.kind = WEIR_FRAME_CHUNK, .last = true, .end_lsn = 9}, ev, 4);
}

static void relation(weir_buf *out)
{
    weir_column cols[] = {
        {S("id"), 20, -1, true},
        {S("name"), 1043, 54, false},
        {S("price"), 1700, 655366, false},
    };
    weir_relation rel = {.version = 7,
                         .oid = 16385,
                         .schema = S("public"),
                         .name = S("orders"),
                         .identity = 'd',
                         .n = 3,
                         .cols = cols};
    weir_relation_encode(out, &rel);
}

static const weir_feed_pos at = {{0x1600000058ULL, 3}, 0},
                           inside = {{0x1600000058ULL, WEIR_SUB_TX}, 12};

static void req_subscribe(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_SUBSCRIBE,
                                               .name = S("projector"),
                                               .start = WEIR_START_EARLIEST});
}
static void req_subscribe_at(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_SUBSCRIBE,
                                               .name = S("p"),
                                               .start = WEIR_START_AT,
                                               .has_after = true,
                                               .after = at});
}
static void req_fetch(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_FETCH,
                                               .name = S("projector"),
                                               .has_after = true,
                                               .after = inside,
                                               .max_bytes = 1 << 20,
                                               .wait_ms = 1000,
                                               .known = 9});
}
static void req_fetch_now(weir_buf *out)
{
    weir_feed_req_encode(
        out, &(weir_feed_req){.op = WEIR_FEED_FETCH, .max_bytes = 65536, .wait_ms = 250});
}
static void req_ack(weir_buf *out)
{
    weir_feed_req_encode(
        out, &(weir_feed_req){
                 .op = WEIR_FEED_ACK, .name = S("projector"), .has_after = true, .after = at});
}
static void req_unsubscribe(weir_buf *out)
{
    weir_feed_req_encode(out,
                         &(weir_feed_req){.op = WEIR_FEED_UNSUBSCRIBE, .name = S("projector")});
}
static void req_list(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_LIST});
}
static void req_status(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_STATUS});
}
static void req_copy(weir_buf *out)
{
    weir_feed_table t[] = {{S("public"), S("orders")}, {S("sales"), S("line items")}};
    weir_feed_req_encode(
        out,
        &(weir_feed_req){.op = WEIR_FEED_COPY, .copy_id = S("c-1"), .ntables = 2, .tables = t});
}

static void req_crawl(weir_buf *out)
{
    weir_feed_table t[] = {{S("public"), S("orders")}, {S(""), S("line items")}};
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_CRAWL,
                                               .action = WEIR_CRAWL_START,
                                               .copy_id = S("crawl-1"),
                                               .ntables = 2,
                                               .tables = t,
                                               .where = S("id > 7"),
                                               .rate = 5000000000ULL,
                                               .parallel = 2,
                                               .chunk_ms = 250,
                                               .load_percent = 50});
}
static void req_crawl_pause(weir_buf *out)
{
    weir_feed_req_encode(out, &(weir_feed_req){.op = WEIR_FEED_CRAWL, .action = WEIR_CRAWL_PAUSE});
}

static void rep_subscribe(weir_buf *out)
{
    weir_feed_reply r = {.ok = true,
                         .position = at.at,
                         .head = {77, 0},
                         .complete = true,
                         .system_id = S("7300000000000000001")};
    weir_feed_reply_encode(out, WEIR_FEED_SUBSCRIBE, &r);
}
static void rep_fetch(weir_buf *out)
{
    weir_slice frames[] = {S("\x98zero\0inside"), S("")}, relations[] = {S("r1")};
    weir_feed_reply r = {.ok = true,
                         .nframes = 2,
                         .frames = frames,
                         .nrelations = 1,
                         .relations = relations,
                         .next = inside,
                         .head = {77, 0}};
    weir_feed_reply_encode(out, WEIR_FEED_FETCH, &r);
}
static void rep_ack(weir_buf *out)
{
    weir_feed_reply_encode(out, WEIR_FEED_ACK, &(weir_feed_reply){.ok = true});
}
static void rep_list(weir_buf *out)
{
    weir_feed_sub subs[] = {{S("projector"), S("active"), {88, 1}, 4096},
                            {S("old"), S("lapsed"), {1, 0}, UINT64_MAX}};
    weir_feed_reply_encode(out, WEIR_FEED_LIST,
                           &(weir_feed_reply){.ok = true, .nsubs = 2, .subs = subs});
}
static void rep_status(weir_buf *out)
{
    weir_feed_reply_encode(out, WEIR_FEED_STATUS,
                           &(weir_feed_reply){.ok = true, .status = S("{\"head\":\"0/1\"}")});
}
static void rep_crawl(weir_buf *out)
{
    weir_feed_reply_encode(out, WEIR_FEED_CRAWL,
                           &(weir_feed_reply){.ok = true, .status = S("{\"state\":\"running\"}")});
}
static void rep_copy(weir_buf *out)
{
    weir_feed_reply_encode(
        out, WEIR_FEED_COPY,
        &(weir_feed_reply){.ok = true, .state = S("running"), .rows = 1000000, .tables_done = 1});
}
static void rep_error(weir_buf *out)
{
    weir_feed_reply_encode(
        out, WEIR_FEED_FETCH,
        &(weir_feed_reply){.code = S("lapsed"), .error = S("the log no longer holds it: rebuild")});
}

const codec_sample codec_samples[] = {
    {"frame-empty", SAMPLE_FRAME, 0, frame_empty},
    {"frame-insert", SAMPLE_FRAME, 0, frame_insert},
    {"frame-update", SAMPLE_FRAME, 0, frame_update},
    {"frame-delete", SAMPLE_FRAME, 0, frame_delete},
    {"frame-truncate", SAMPLE_FRAME, 0, frame_truncate},
    {"frame-message", SAMPLE_FRAME, 0, frame_message},
    {"frame-origin", SAMPLE_FRAME, 0, frame_origin},
    {"frame-type", SAMPLE_FRAME, 0, frame_type},
    {"frame-chunk", SAMPLE_FRAME, 0, frame_chunk},
    {"relation", SAMPLE_RELATION, 0, relation},
    {"request-subscribe", SAMPLE_REQUEST, 0, req_subscribe},
    {"request-subscribe-at", SAMPLE_REQUEST, 0, req_subscribe_at},
    {"request-fetch", SAMPLE_REQUEST, 0, req_fetch},
    {"request-fetch-now", SAMPLE_REQUEST, 0, req_fetch_now},
    {"request-ack", SAMPLE_REQUEST, 0, req_ack},
    {"request-unsubscribe", SAMPLE_REQUEST, 0, req_unsubscribe},
    {"request-list", SAMPLE_REQUEST, 0, req_list},
    {"request-status", SAMPLE_REQUEST, 0, req_status},
    {"request-copy", SAMPLE_REQUEST, 0, req_copy},
    {"request-crawl", SAMPLE_REQUEST, 0, req_crawl},
    {"request-crawl-pause", SAMPLE_REQUEST, 0, req_crawl_pause},
    {"reply-subscribe", SAMPLE_REPLY, WEIR_FEED_SUBSCRIBE, rep_subscribe},
    {"reply-fetch", SAMPLE_REPLY, WEIR_FEED_FETCH, rep_fetch},
    {"reply-ack", SAMPLE_REPLY, WEIR_FEED_ACK, rep_ack},
    {"reply-list", SAMPLE_REPLY, WEIR_FEED_LIST, rep_list},
    {"reply-status", SAMPLE_REPLY, WEIR_FEED_STATUS, rep_status},
    {"reply-crawl", SAMPLE_REPLY, WEIR_FEED_CRAWL, rep_crawl},
    {"reply-copy", SAMPLE_REPLY, WEIR_FEED_COPY, rep_copy},
    {"reply-error", SAMPLE_REPLY, WEIR_FEED_FETCH, rep_error},
};
const size_t codec_samples_count = sizeof codec_samples / sizeof codec_samples[0];
