/* asksamples.c - messages of the NNG endpoints with every field. */
#include "tests/support/asksamples.h"

weir_ask asksample(weir_ask_op op)
{
    weir_ask a = weir_ask_of(op);
    a.credentials = weir_slice_z("Bearer abc");
    if (op == WEIR_ASK_COMMAND || op == WEIR_ASK_COMMANDS) {
        a.correlation_id = weir_slice_z("c-1");
        a.traceparent = weir_slice_z("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        a.args = weir_slice_z(op == WEIR_ASK_COMMAND ? "{\"n\": 1}" : "[{\"name\": \"a\"}]");
        a.atomic = op == WEIR_ASK_COMMANDS;
    }
    if (op == WEIR_ASK_COMMAND) {
        a.name = weir_slice_z("place_order");
        a.idempotency_key = weir_slice_z("k");
        a.if_match = weir_slice_z("7");
        a.ordering_key = weir_slice_z("customer-40");
        a.callback = weir_slice_z("https://shop.example/hook");
        a.deadline_ms = 250;
        a.priority = 0;
        a.not_before_ms = 70000;
        a.async = true;
    } else if (op == WEIR_ASK_STATUS) {
        a.id = weir_slice_z("0123456789abcdef0123456789abcdef");
        a.wait_ms = 0;
    } else if (op == WEIR_ASK_QUERY) {
        a.model = weir_slice_z("order_view");
        a.nkey = 3;
        a.key[0] = weir_slice_z("50001");
        a.key[1] = weir_slice_z("");
        a.key[2] = weir_slice_z("a/b");
        a.min_position = weir_slice_z("0/1A2B3C8");
        a.etag = weir_slice_z("\"x\"");
        a.wait_ms = 1000;
    }
    return a;
}

weir_answer asksample_answer(bool ok)
{
    return (weir_answer){.status = ok ? 200 : 503,
                         .body = weir_slice_z(ok ? "{\"a\": 1}" : "{\"status\":503}"),
                         .position = weir_slice_z("0/1A2B3C8"),
                         .correlation_id = weir_slice_z("c-1"),
                         .location = weir_slice_z("/commands/x"),
                         .etag = weir_slice_z("\"x\""),
                         .model_state = weir_slice_z("stalled"),
                         .retry_after_s = ok ? -1 : 1,
                         .replayed = ok};
}
