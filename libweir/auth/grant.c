/* grant.c - lists of names and pairs. */
#include "libweir/auth/grant.h"

static size_t word_length(const char *p)
{
    return strcspn(p, " \t");
}

static weir_rc add(weir_grants *out, const char *option, weir_slice word, weir_arena *a,
                   weir_error *err)
{
    const char *equals = memchr(word.p, '=', word.n);
    size_t left = equals ? (size_t)(equals - word.p) : word.n;
    weir_grant *g = &out->g[out->n];
    if (out->n == WEIR_GRANTS_MAX) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s has more than %d words", option,
                         WEIR_GRANTS_MAX);
    }
    if (left == 0 || (equals && left + 1 == word.n)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%s: \"%.*s\" is not a name or name=name", option,
                         (int)(word.n < 80 ? word.n : 80), word.p);
    }
    g->left = weir_arena_dupz(a, weir_slice_of(word.p, left));
    g->right = equals ? weir_arena_dupz(a, weir_slice_of(equals + 1, word.n - left - 1)) : g->left;
    out->n++;
    return WEIR_OK;
}

weir_rc weir_grants_parse(weir_grants *out, const char *option, const char *text, weir_arena *a,
                          weir_error *err)
{
    weir_rc rc = WEIR_OK;
    *out = (weir_grants){0, WEIR_ARENA_ARRAY(a, weir_grant, WEIR_GRANTS_MAX)};
    text = text ? text : "";
    for (const char *p = text + strspn(text, " \t"); *p && rc == WEIR_OK;) {
        size_t n = word_length(p);
        rc = add(out, option, weir_slice_of(p, n), a, err);
        p += n;
        p += strspn(p, " \t");
    }
    return rc;
}

bool weir_role_ok(const char *role)
{
    size_t n = strlen(role);
    return n >= 1 && n <= WEIR_ROLE_MAX && !(role[0] >= '0' && role[0] <= '9') &&
           strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

weir_rc weir_grants_roles(weir_grants *out, const char *text, weir_arena *a, weir_error *err)
{
    weir_rc rc = weir_grants_parse(out, "auth.roles", text, a, err);
    for (size_t i = 0; rc == WEIR_OK && i < out->n; i++) {
        weir_grant *g = &out->g[i];
        if (!weir_role_ok(g->right)) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "auth.roles: \"%.60s\" must be a role of a-z, 0-9 and _, at most %d "
                             "characters",
                             g->right, WEIR_ROLE_MAX);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(out->g[k].right, g->right) == 0) {
                g->right = out->g[k].right;
            }
        }
    }
    return rc;
}

static bool listed(const char *list, weir_slice item)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if ((n == 1 && *p == '*') || weir_slice_eq(weir_slice_of(p, n), item)) {
            return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

bool weir_grants_allow(const weir_grants *gs, const char *role, weir_slice item)
{
    for (size_t i = 0; i < gs->n; i++) {
        const weir_grant *g = &gs->g[i];
        bool mine = strcmp(g->left, "*") == 0 || strcmp(g->left, role) == 0;
        if (mine && g->right != g->left && listed(g->right, item)) {
            return true;
        }
    }
    return false;
}
