/* settings.h - one configuration for every service: weir.ini, then an overlay, then
 * WEIR_<SECTION>_<KEY>.
 *
 * The table in settings_table.c is the only list of options: it feeds --help, docs/configuration.md
 * and the parser. Unknown sections or keys are errors that name the nearest known one. Values are
 * checked against min and max.
 */
#ifndef WEIR_BASE_SETTINGS_H
#define WEIR_BASE_SETTINGS_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/base/err.h"

typedef struct weir_settings {
    /* [app] */
    const char *app_name; /* default: the directory's name, reduced to [a-z0-9_] */
    const char *log_level;
    /* [postgres] */
    const char *postgres_uri; /* secret; "" means: `weir up` starts a private one */
    /* [redis] */
    const char *redis_uri;       /* secret; "" as above */
    const char *redis_namespace; /* default: app_name */
    /* [write] */
    const char *write_listen; /* 127.0.0.1 */
    int64_t write_port;       /* 7701 */
    const char *write_nng;    /* "": off */
    int64_t write_lanes;      /* 2 */
    int64_t write_group_max;  /* 48, at most 60 */
    int64_t write_queue_max;  /* 4096 */
    int64_t write_body_max_bytes;
    int64_t write_statement_timeout_ms;
    int64_t write_idempotency_keep_ms;
    int64_t write_connections_max;
    int64_t write_request_timeout_ms;
    int64_t write_async_max; /* stored commands not finished */
    int64_t write_async_attempts_max;
    int64_t write_retry_pause_max_ms;  /* between two tries of a command or callback */
    int64_t write_async_keep_ms;       /* finished ones are forgotten after so long */
    int64_t write_dead_keep_ms;        /* dead ones */
    const char *write_callback_allow;  /* "": callbacks are off */
    const char *write_callback_secret; /* secret */
    int64_t write_callback_timeout_ms;
    int64_t write_callback_attempts_max;
    /* [read] */
    const char *read_listen;
    int64_t read_port;    /* 7702 */
    const char *read_nng; /* "": off */
    int64_t read_threads; /* 0: one per core */
    int64_t read_wait_max_ms;
    int64_t read_connections_max;
    int64_t read_request_timeout_ms;
    /* [bridge] */
    const char *bridge_feed; /* tcp://127.0.0.1:7703 */
    const char *bridge_listen;
    int64_t bridge_port;         /* 7704: healthz, readyz, metrics */
    const char *bridge_data_dir; /* default APP/.weir/bridge */
    const char *bridge_slot;     /* default weir_<app_name> */
    const char *bridge_publication;
    int64_t bridge_log_map_bytes; /* LMDB map size */
    int64_t
        bridge_log_keep_ms; /* frames younger than this are kept even when acknowledged by all */
    int64_t bridge_log_max_bytes; /* a subscriber past this is lapsed */
    int64_t bridge_heartbeat_ms;
    int64_t bridge_ring_max_bytes; /* decoded but not yet logged */
    int64_t bridge_copy_chunk_rows;
    int64_t bridge_first_copy; /* 0: whoever reads the feed copies the tables itself */
    /* [projector] */
    const char *projector_listen;
    int64_t projector_port;         /* 7705: healthz, readyz, metrics */
    const char *projector_data_dir; /* default APP/.weir/projector */
    int64_t projector_map_bytes;
    int64_t projector_batch_bytes; /* fetch size */
    int64_t projector_document_max_bytes;
    int64_t projector_multi_max_bytes; /* a MULTI larger than this is cut */
    int64_t projector_checkpoint_ms;
    int64_t projector_verify_every; /* 1: every document before a switch, 0: none */
    int64_t projector_keep_old_ms;  /* after a deploy */
    /* [auth], see libweir/auth/auth.h; on when auth_keys or auth_jwt_keys is set */
    const char *auth_keys;     /* file of API keys; "": none */
    const char *auth_jwt_keys; /* file of keys that sign tokens; "": none */
    const char *auth_jwt_issuer;
    const char *auth_jwt_audience;
    int64_t auth_jwt_leeway_ms;
    const char *auth_jwt_role_claim;
    const char *auth_roles;
    const char *auth_read_models;
    int64_t auth_rate_per_s; /* 0: none */
    /* [tls] of HTTP and NNG; on when tls_cert is set */
    const char *tls_cert, *tls_key, *tls_ca; /* PEM files; "": none */
} weir_settings;

/* Loads into *out; strings live in a. path may not exist when optional_file; overlay_path (may be
 * NULL, may be absent) wins over path, the environment wins over both. app_dir (may be NULL) gives
 * defaults of app_name and the data dirs. WEIR_E_INPUT names file, line, key. */
WEIR_MUST_CHECK weir_rc weir_settings_load(weir_settings *out, const char *app_dir,
                                           const char *path, const char *overlay_path,
                                           weir_arena *a, weir_error *err);

/* "  section.key   default   doc" lines of the given sections (space separated, NULL: all) for
 * --help. */
void weir_settings_help(weir_buf *out, const char *sections);
/* WEIR_E_INPUT when a server among the sections (postgres, redis) is not named in the settings. */
WEIR_MUST_CHECK weir_rc weir_settings_need_servers(const weir_settings *s, const char *sections,
                                                   weir_error *err);
/* The same as a Markdown table: docs/configuration.md. A ctest compares. */
void weir_settings_markdown(weir_buf *out);
/* Writes a URI without its password ("postgresql://u@h/db"), for logs and errors. */
const char *weir_uri_safe(weir_arena *a, const char *uri);

#endif
