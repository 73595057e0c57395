/* See options.h. */
#include "agent/options.h"

#include <string.h>

#include "agent/digest.h"
#include "common/num.h"

enum { IDLE_MAX_MS = 24 * 3600 * 1000 };

static const char original_nonce[] = "muster-nonce=";

struct reading {
    struct options *o;
    bool has_nonce;
    struct err *e;
};

static enum rc read_nonce(struct reading *r, const char *hex, size_t len)
{
    if (agent_nonce_parse(hex, len, r->o->nonce) != RC_OK)
        return err_set(r->e, RC_USAGE, "nonce: want %d hex digits in lower case", AGENT_NONCE_HEX);
    r->has_nonce = true;
    return RC_OK;
}

static enum rc take_nonce(struct reading *r, const char *value)
{
    return read_nonce(r, value, strlen(value));
}

static enum rc take_allow(struct reading *r, const char *value)
{
    r->o->allow = 0;
    for (const char *p = value;;) {
        size_t n = strcspn(p, ",");
        if (n == 5 && memcmp(p, "stats", n) == 0)
            r->o->allow |= ALLOW_STATS;
        else if (n == 4 && memcmp(p, "exec", n) == 0)
            r->o->allow |= ALLOW_EXEC;
        else
            return err_set(r->e, RC_USAGE, "--allow: want stats, exec, or both with a comma");
        if (p[n] == '\0')
            return RC_OK;
        p += n + 1;
    }
}

static enum rc take_idle(struct reading *r, const char *value)
{
    if (num_u64(value, 0, IDLE_MAX_MS, &r->o->idle_ms, NULL) != RC_OK)
        return err_set(r->e, RC_USAGE, "--idle-ms: want milliseconds, 0 to %d", IDLE_MAX_MS);
    return RC_OK;
}

static enum rc take_expect(struct reading *r, const char *value)
{
    if (strlen(value) != DIGEST_HEX || strspn(value, "0123456789abcdef") != DIGEST_HEX)
        return err_set(r->e, RC_USAGE, "--expect: want %d hex digits in lower case", DIGEST_HEX);
    r->o->expect = value;
    return RC_OK;
}

static enum rc take_place(struct reading *r, const char *value)
{
    r->o->mode = MODE_PLACE;
    r->o->place = value;
    return RC_OK;
}

static enum rc take_from(struct reading *r, const char *value)
{
    r->o->from = value;
    return RC_OK;
}

static enum rc take_temporary(struct reading *r, const char *value)
{
    (void)value;
    r->o->temporary = true;
    return RC_OK;
}

static enum rc take_version(struct reading *r, const char *value)
{
    (void)value;
    r->o->mode = MODE_VERSION;
    return RC_OK;
}

static enum rc take_digest(struct reading *r, const char *value)
{
    (void)value;
    r->o->mode = MODE_DIGEST;
    return RC_OK;
}

static const struct option {
    const char *name;
    bool has_value;
    enum rc (*take)(struct reading *r, const char *value);
} options[] = {
    {"--nonce", true, take_nonce},          {"--allow", true, take_allow},
    {"--idle-ms", true, take_idle},         {"--expect", true, take_expect},
    {"--place", true, take_place},          {"--from", true, take_from},
    {"--temporary", false, take_temporary}, {"--version", false, take_version},
    {"--digest", false, take_digest},
};

static enum rc take_word(struct reading *r, char *const **argv)
{
    const char *word = *(*argv)++;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const struct option *o = &options[i];
        if (strcmp(o->name, word) != 0)
            continue;
        if (!o->has_value)
            return o->take(r, NULL);
        if (**argv == NULL)
            return err_set(r->e, RC_USAGE, "%s wants a value", word);
        return o->take(r, *(*argv)++);
    }
    return err_set(r->e, RC_USAGE, "no option of the agent: %.64s", word);
}

/* A forced command is started without what the controller asked for; that is in the environment. */
static enum rc take_original(struct reading *r, const char *original)
{
    const char *at = original != NULL ? strstr(original, original_nonce) : NULL;
    if (at == NULL)
        return err_set(r->e, RC_USAGE, "--nonce is missing: muster starts this program");
    at += strlen(original_nonce);
    return read_nonce(r, at, strspn(at, "0123456789abcdef"));
}

static enum rc check(struct reading *r, const char *original)
{
    const struct options *o = r->o;
    if (o->mode == MODE_PLACE)
        return o->from != NULL && o->expect != NULL
                   ? RC_OK
                   : err_set(r->e, RC_USAGE, "--place wants --from and --expect");
    return o->mode != MODE_SERVE || r->has_nonce ? RC_OK : take_original(r, original);
}

enum rc options_read(struct options *o, char *const *argv, const char *original, struct err *e)
{
    struct reading r = {.o = o, .e = e};
    *o = (struct options){.mode = MODE_SERVE, .allow = ALLOW_ALL, .idle_ms = OPTIONS_IDLE_MS};
    while (*argv != NULL) {
        enum rc rc = take_word(&r, &argv);
        if (rc != RC_OK)
            return rc;
    }
    return check(&r, original);
}
