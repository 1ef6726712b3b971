/* settings_table.c - the only list of options: parser, --help and docs/configuration.md follow it.
 */
#include "libweir/base/settings_table.h"

#define AT(field) offsetof(weir_settings, field)
#define KIB       INT64_C(1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define TIB       (1024 * GIB)
#define SECOND    INT64_C(1000)
#define HOUR      (3600 * SECOND)
#define PORT_MAX  INT64_C(65535)

const weir_opt weir_settings_table[] = {
    {"app", "name", WEIR_OPT_NAME, AT(app_name), "", 1, 40, false,
     "Name of the application; part of slot, publication and Redis keys",
     "the app directory's name"},
    {"app", "log_level", WEIR_OPT_LEVEL, AT(log_level), "info", 0, 0, false,
     "What is logged: debug, info, warn, error or off", NULL},

    {"postgres", "uri", WEIR_OPT_TEXT, AT(postgres_uri), "", 0, 4096, true,
     "The write model's database, postgresql://user:password@host:port/database",
     "none: `weir up` starts a private one"},

    {"redis", "uri", WEIR_OPT_TEXT, AT(redis_uri), "", 0, 4096, true,
     "Where the read models live, redis://:password@host:port/db or unix:///path",
     "none: `weir up` starts a private one"},
    {"redis", "namespace", WEIR_OPT_TEXT, AT(redis_namespace), "", 1, 100, false,
     "First part of every Redis key", "app.name"},

    {"write", "listen", WEIR_OPT_TEXT, AT(write_listen), "127.0.0.1", 1, 255, false,
     "Address of the command endpoint", NULL},
    {"write", "port", WEIR_OPT_INT, AT(write_port), "7701", 0, PORT_MAX, false,
     "Port of the command endpoint", NULL},
    {"write", "lanes", WEIR_OPT_INT, AT(write_lanes), "2", 1, 64, false,
     "PostgreSQL connections that execute groups of commands", NULL},
    {"write", "group_max", WEIR_OPT_INT, AT(write_group_max), "48", 1, 60, false,
     "Commands in one group transaction; PostgreSQL slows down past 64 subtransactions", NULL},
    {"write", "queue_max", WEIR_OPT_INT, AT(write_queue_max), "4096", 1, 1000000, false,
     "Commands that wait for a lane; more are answered 503", NULL},
    {"write", "body_max_bytes", WEIR_OPT_BYTES, AT(write_body_max_bytes), "1M", KIB, GIB, false,
     "Largest body of a command; more is answered 413", NULL},
    {"write", "statement_timeout_ms", WEIR_OPT_MS, AT(write_statement_timeout_ms), "5000", 1, HOUR,
     false, "Longest run of one command", NULL},
    {"write", "idempotency_keep_ms", WEIR_OPT_MS, AT(write_idempotency_keep_ms), "24h", 1000,
     366 * 24 * HOUR, false, "How long the answer of an Idempotency-Key is remembered", NULL},
    {"write", "connections_max", WEIR_OPT_INT, AT(write_connections_max), "2048", 1, 65536, false,
     "Client connections at a time", NULL},

    {"write", "async_max", WEIR_OPT_INT, AT(write_async_max), "1000000", 1, 1000000000, false,
     "Stored commands not yet finished; more are answered 503", NULL},
    {"write", "async_attempts_max", WEIR_OPT_INT, AT(write_async_attempts_max), "10", 1, 1000,
     false, "Executions of a stored command that may fail for a passing reason before it is dead",
     NULL},
    {"write", "retry_pause_max_ms", WEIR_OPT_MS, AT(write_retry_pause_max_ms), "60s", 1, HOUR,
     false, "Longest pause between two tries of a stored command or a callback", NULL},
    {"write", "async_keep_ms", WEIR_OPT_MS, AT(write_async_keep_ms), "24h", 0, 366 * 24 * HOUR,
     false, "Finished stored commands are forgotten after this", NULL},
    {"write", "dead_keep_ms", WEIR_OPT_MS, AT(write_dead_keep_ms), "720h", 0, 366 * 24 * HOUR,
     false, "Dead commands and callbacks are forgotten after this", NULL},
    {"write", "callback_allow", WEIR_OPT_TEXT, AT(write_callback_allow), "", 0, 4096, false,
     "Where callbacks may go: URL prefixes, or the word public for any https URL with a public "
     "address",
     "nowhere: Weir-Callback is refused"},
    {"write", "callback_secret", WEIR_OPT_TEXT, AT(write_callback_secret), "", 0, 1024, true,
     "Key of the callbacks' signature; two, separated by a space, while it is being changed",
     "none"},
    {"write", "callback_timeout_ms", WEIR_OPT_MS, AT(write_callback_timeout_ms), "10s", 1, HOUR,
     false, "Longest callback", NULL},
    {"write", "callback_attempts_max", WEIR_OPT_INT, AT(write_callback_attempts_max), "20", 1, 1000,
     false, "A callback not acknowledged so often is dead", NULL},

    {"read", "listen", WEIR_OPT_TEXT, AT(read_listen), "127.0.0.1", 1, 255, false,
     "Address of the query endpoint", NULL},
    {"read", "port", WEIR_OPT_INT, AT(read_port), "7702", 0, PORT_MAX, false,
     "Port of the query endpoint", NULL},
    {"read", "threads", WEIR_OPT_INT, AT(read_threads), "0", 0, 256, false,
     "Loop threads; 0: one per core", NULL},
    {"read", "wait_max_ms", WEIR_OPT_MS, AT(read_wait_max_ms), "10000", 0, HOUR, false,
     "Longest wait_ms a query may ask for", NULL},
    {"read", "connections_max", WEIR_OPT_INT, AT(read_connections_max), "2048", 1, 65536, false,
     "Client connections at a time", NULL},

    {"bridge", "feed", WEIR_OPT_TEXT, AT(bridge_feed), "tcp://127.0.0.1:7703", 1, 255, false,
     "NNG address of the change feed, tcp:// or ipc://", NULL},
    {"bridge", "listen", WEIR_OPT_TEXT, AT(bridge_listen), "127.0.0.1", 1, 255, false,
     "Address of the bridge's healthz, readyz and metrics", NULL},
    {"bridge", "port", WEIR_OPT_INT, AT(bridge_port), "7704", 0, PORT_MAX, false,
     "Port of the bridge's healthz, readyz and metrics", NULL},
    {"bridge", "data_dir", WEIR_OPT_PATH, AT(bridge_data_dir), ".weir/bridge", 1, 4000, false,
     "Folder of the durable log, on a local disk", NULL},
    {"bridge", "slot", WEIR_OPT_NAME, AT(bridge_slot), "", 1, 63, false,
     "Name of the replication slot", "weir_ + app.name"},
    {"bridge", "publication", WEIR_OPT_NAME, AT(bridge_publication), "", 1, 63, false,
     "Name of the publication", "weir_ + app.name"},
    {"bridge", "log_map_bytes", WEIR_OPT_BYTES, AT(bridge_log_map_bytes), "64G", MIB, 64 * TIB,
     false, "Address space of the log; the file is sparse and grows as needed", NULL},
    {"bridge", "log_keep_ms", WEIR_OPT_MS, AT(bridge_log_keep_ms), "60s", 0,
     INT64_C(24) * 366 * HOUR, false,
     "Frames younger than this are kept even when every subscriber has acknowledged them", NULL},
    {"bridge", "log_max_bytes", WEIR_OPT_BYTES, AT(bridge_log_max_bytes), "", 64 * KIB, 64 * TIB,
     false, "Size at which the slowest subscriber is given up (lapsed) instead of keeping more",
     "a quarter of log_map_bytes"},
    {"bridge", "heartbeat_ms", WEIR_OPT_MS, AT(bridge_heartbeat_ms), "10s", 10, HOUR, false,
     "A logical message this often on an idle database, so that the slot moves on", NULL},
    {"bridge", "ring_max_bytes", WEIR_OPT_BYTES, AT(bridge_ring_max_bytes), "32M", 64 * KIB,
     16 * GIB, false, "Changes decoded but not yet in the log; reading pauses beyond", NULL},
    {"bridge", "copy_chunk_rows", WEIR_OPT_INT, AT(bridge_copy_chunk_rows), "10000", 1, 10000000,
     false, "Rows per step of the first copy of the published tables", NULL},
    {"bridge", "first_copy", WEIR_OPT_INT, AT(bridge_first_copy), "1", 0, 1, false,
     "1: a new log begins with the rows of the published tables; 0: with the changes after now",
     NULL},

    {"projector", "listen", WEIR_OPT_TEXT, AT(projector_listen), "127.0.0.1", 1, 255, false,
     "Address of the projector's healthz, readyz and metrics", NULL},
    {"projector", "port", WEIR_OPT_INT, AT(projector_port), "7705", 0, PORT_MAX, false,
     "Port of the projector's healthz, readyz and metrics", NULL},
    {"projector", "data_dir", WEIR_OPT_PATH, AT(projector_data_dir), ".weir/projector", 1, 4000,
     false, "Folder of the projector's state, on a local disk", NULL},
    {"projector", "map_bytes", WEIR_OPT_BYTES, AT(projector_map_bytes), "64G", MIB, 64 * TIB, false,
     "Address space of the state; the file is sparse and grows as needed", NULL},
    {"projector", "batch_bytes", WEIR_OPT_BYTES, AT(projector_batch_bytes), "1M", 4 * KIB, 64 * MIB,
     false, "Bytes asked from the feed at a time", NULL},
    {"projector", "document_max_bytes", WEIR_OPT_BYTES, AT(projector_document_max_bytes), "16M",
     KIB, 512 * MIB, false, "Largest document; a larger one is parked and counted", NULL},
    {"projector", "multi_max_bytes", WEIR_OPT_BYTES, AT(projector_multi_max_bytes), "4M", KIB,
     512 * MIB, false, "Size at which a batch is cut into several MULTI", NULL},
    {"projector", "checkpoint_ms", WEIR_OPT_MS, AT(projector_checkpoint_ms), "1000", 1, HOUR, false,
     "How often the state is synced to disk", NULL},
    {"projector", "verify_every", WEIR_OPT_INT, AT(projector_verify_every), "1", 0, 1000000000,
     false,
     "Before a new generation replaces a serving one, one of so many documents is compared with "
     "PostgreSQL; 1: all, 0: none",
     NULL},
    {"projector", "keep_old_ms", WEIR_OPT_MS, AT(projector_keep_old_ms), "1h", 0,
     INT64_C(24) * 366 * HOUR, false,
     "How long a generation that a deploy replaced is kept for `weir rebuild --rollback`; it is "
     "maintained meanwhile",
     NULL},

    {"auth", "keys", WEIR_OPT_PATH, AT(auth_keys), "", 1, 4000, false,
     "File of the API keys that `weir keys` makes; turns authentication on", "none"},
    {"auth", "jwt_keys", WEIR_OPT_PATH, AT(auth_jwt_keys), "", 1, 4000, false,
     "JSON Web Key Set (HS256, RS256) that tokens are checked with; turns authentication on",
     "none"},
    {"auth", "jwt_issuer", WEIR_OPT_TEXT, AT(auth_jwt_issuer), "", 1, 1024, false,
     "What a token's iss must be; *: anything", "none; needed with auth.jwt_keys"},
    {"auth", "jwt_audience", WEIR_OPT_TEXT, AT(auth_jwt_audience), "", 1, 1024, false,
     "What a token's aud must be or contain; *: anything", "none; needed with auth.jwt_keys"},
    {"auth", "jwt_leeway_ms", WEIR_OPT_MS, AT(auth_jwt_leeway_ms), "30s", 0, 600 * SECOND, false,
     "How far clocks may differ when exp, nbf and iat are looked at", NULL},
    {"auth", "jwt_role_claim", WEIR_OPT_TEXT, AT(auth_jwt_role_claim), "role", 1, 250, false,
     "Claim with the caller's role or roles: a name, or a JSON Pointer like /realm/roles", NULL},
    {"auth", "roles", WEIR_OPT_TEXT, AT(auth_roles), "", 1, 8000, false,
     "PostgreSQL roles that callers may have; value=role where a token's value is named otherwise",
     "none; needed with authentication"},
    {"auth", "read_models", WEIR_OPT_TEXT, AT(auth_read_models), "", 1, 8000, false,
     "Read models a role may read: role=model,model; * stands for every role, and every model",
     "none: with authentication nobody may read"},
    {"auth", "rate_per_s", WEIR_OPT_INT, AT(auth_rate_per_s), "0", 0, 1000000, false,
     "Requests a caller may make per second, and at once; more are answered 429. 0: no limit; a "
     "key may have its own",
     NULL},

    {"tls", "cert", WEIR_OPT_PATH, AT(tls_cert), "", 1, 4000, false,
     "Certificate chain (PEM) of the command and query endpoints; turns TLS on", "none"},
    {"tls", "key", WEIR_OPT_PATH, AT(tls_key), "", 1, 4000, false, "Private key (PEM) of tls.cert",
     "none; needed with tls.cert"},
    {"tls", "ca", WEIR_OPT_PATH, AT(tls_ca), "", 1, 4000, false,
     "Certificates (PEM) that `weir send` and other clients trust", "the system's"},
};

const size_t weir_settings_table_len = sizeof weir_settings_table / sizeof weir_settings_table[0];

bool weir_opt_is_text(const weir_opt *o)
{
    return o->type <= WEIR_OPT_PATH;
}
