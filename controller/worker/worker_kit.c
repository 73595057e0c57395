/* What a worker is given before its first job: keys, and input for the commands. See
 * worker_internal.h. */
#include <string.h>

#include "common/mem.h"
#include "controller/worker/worker_internal.h"

static void trouble(struct worker *w, enum rc rc, const char *message)
{
    worker_said(w, msg_put_trouble(chan_out(&w->chan), rc, message));
}

static enum rc import_key(struct worker *w, unsigned id, const struct msg_key *m, struct err *e)
{
    char *text = mem_alloc(m->len + 1); /* importers want a terminated text */
    if (text == NULL)
        return err_nomem(e);
    memcpy(text, m->text, m->len);
    text[m->len] = '\0';
    enum rc rc = session_env_add_key(w->env, id, text, m->len,
                                     m->has_passphrase ? m->passphrase : NULL, m->label, e);
    explicit_bzero(text, m->len);
    mem_free(text);
    return rc;
}

enum rc worker_took_key(struct worker *w, const struct frame *f, struct err *e)
{
    struct msg_key m;
    enum rc rc = f->id > UINT16_MAX ? RC_PROTO : msg_get_key(f, &m, e);
    if (rc != RC_OK)
        return rc;
    struct err why = {0};
    rc = import_key(w, (unsigned)f->id, &m, &why);
    msg_key_wipe(&m);
    if (rc != RC_OK)
        trouble(w, rc, why.msg);
    return RC_OK;
}

enum rc worker_took_identity(struct worker *w, const struct frame *f, struct err *e)
{
    struct msg_identity m;
    struct err why = {0};
    unsigned id = (unsigned)f->id;
    enum rc rc = msg_get_identity(f, &m, e);
    if (rc != RC_OK)
        return rc;
    rc = m.agent ? session_env_add_agent_key(w->env, id, m.blob, m.len, m.label, &why)
                 : session_env_add_cert(w->env, id, m.base, m.blob, m.len, m.label, &why);
    if (rc != RC_OK)
        trouble(w, rc, why.msg);
    return RC_OK;
}

enum rc worker_took_stdin(struct worker *w, const struct frame *f, struct err *e)
{
    const void *p;
    size_t n;
    bool last;
    enum rc rc = msg_get_stdin(f, &p, &n, &last, e);
    if (rc != RC_OK)
        return rc;
    unsigned blob = (unsigned)f->id;
    if (session_env_has_blob(w->env, blob) || (w->input.len > 0 && w->input_of != blob) ||
        session_env_active(w->env) > 0)
        return err_set(e, RC_PROTO, "input %u out of turn", blob);
    if (n > MSG_STDIN_MAX - w->input_total - w->input.len)
        return err_set(e, RC_PROTO, "more input than there may be");
    w->input_of = blob;
    rc = buf_append(&w->input, p, n);
    if (rc == RC_OK && last) {
        rc = session_env_set_blob(w->env, blob, w->input.data, w->input.len, e);
        w->input_total += w->input.len;
        buf_wipe(&w->input);
    }
    if (rc == RC_NOMEM) /* without its input no command may run */
        worker_leave(w, EXIT_NO_MEMORY);
    return rc;
}
