/* See ending.h. */
#include "controller/run/ending.h"

#include <string.h>

#include "common/mem.h"

static char *keep_text(const char *s)
{
    return s != NULL && *s != '\0' ? mem_strdup(s) : NULL;
}

void ending_keep(struct ending *n, const struct outcome *o, const struct session_timing *t,
                 const char *server_banner)
{
    ending_fini(n);
    n->problem = (uint8_t)o->problem;
    n->phase = (uint8_t)o->phase;
    n->exit_code = (int16_t)o->exit_code;
    n->may_still_run = o->may_still_run;
    n->sent = o->sent;
    memcpy(n->signal, o->signal, sizeof n->signal);
    if (t != NULL)
        n->timing = *t;
    n->detail = keep_text(o->detail);
    n->banner = keep_text(server_banner);
}

void ending_outcome(const struct ending *n, struct outcome *o)
{
    outcome_init(o);
    o->problem = n->problem;
    o->phase = n->phase;
    o->exit_code = n->exit_code;
    o->may_still_run = n->may_still_run;
    o->sent = n->sent;
    memcpy(o->signal, n->signal, sizeof o->signal);
    o->signal[sizeof o->signal - 1] = '\0';
    if (n->detail != NULL)
        memccpy(o->detail, n->detail, '\0', sizeof o->detail);
    o->detail[sizeof o->detail - 1] = '\0';
}

const char *ending_banner(const struct ending *n)
{
    return n->banner != NULL ? n->banner : "";
}

void ending_fini(struct ending *n)
{
    mem_free(n->detail);
    mem_free(n->banner);
    memset(n, 0, sizeof *n);
}
