/* See trust.h. */
#include "controller/run/trust.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

struct trust {
    struct hostkeys *index;
    pthread_rwlock_t lock; /* readers: checks on any thread; writer: an addition */
    enum host_keys_policy policy;
    char *append_path; /* where accept-new writes; NULL when it does not */
    uv_loop_t *loop;
    trust_fn fn;
    void *user;
    unsigned adding;        /* additions on their way: the loop must not wait for the lock */
    unsigned busy;          /* questions on threads */
    atomic_bool locked_out; /* the file stays locked: nobody else waits for it */
    bool closed;
};

struct question {
    uv_work_t work;
    struct trust *trust;
    uint64_t job;
    uint16_t port;
    bool add, final;
    char *name, *key_type;
    uint8_t *blob;
    size_t len;
    struct hostkeys_answer found;
    enum rc added;
    struct err err;
};

static void question_free(struct question *q)
{
    mem_free(q->name);
    mem_free(q->key_type);
    mem_free(q->blob);
    mem_free(q);
}

static enum rc load(struct trust *t, const char *path, bool required, struct err *e)
{
    enum rc rc = hostkeys_load(t->index, path, e);
    if (rc == RC_NOTFOUND && !required)
        return RC_OK;
    return rc;
}

static enum rc home_file(const char *name, char *dst, size_t cap, struct err *e)
{
    const char *home = getenv("HOME");
    if (home == NULL || *home == '\0')
        return err_set(e, RC_CONFIG, "HOME is not set: name the file with --known-hosts");
    if ((size_t)snprintf(dst, cap, "%s/.ssh/%s", home, name) >= cap)
        return err_set(e, RC_LIMIT, "the path of ~/.ssh/%s is too long", name);
    return RC_OK;
}

static enum rc expand_home(const char *path, char *dst, size_t cap, struct err *e)
{
    const char *home = getenv("HOME");
    bool tilde = path[0] == '~' && path[1] == '/';
    if (tilde && (home == NULL || *home == '\0'))
        return err_set(e, RC_CONFIG, "%s: HOME is not set", path);
    if ((size_t)snprintf(dst, cap, "%s%s", tilde ? home : "", tilde ? path + 1 : path) >= cap)
        return err_set(e, RC_LIMIT, "--known-hosts: the path is too long");
    return RC_OK;
}

static enum rc load_named(struct trust *t, const struct options *o, struct err *e)
{
    char path[4096];
    bool may_make = t->policy == HOST_KEYS_ACCEPT_NEW;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < o->known_hosts.count; i++) {
        rc = expand_home(o->known_hosts.items[i], path, sizeof path, e);
        if (rc == RC_OK && i == 0 && (t->append_path = mem_strdup(path)) == NULL)
            rc = err_nomem(e);
        if (rc == RC_OK)
            rc = load(t, path, !(may_make && i == 0) && t->policy != HOST_KEYS_OFF, e);
    }
    return rc;
}

static enum rc load_defaults(struct trust *t, struct err *e)
{
    char path[4096];
    enum rc rc = home_file("known_hosts", path, sizeof path, e);
    if (rc == RC_OK && (t->append_path = mem_strdup(path)) == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = load(t, path, false, e);
    if (rc == RC_OK)
        rc = home_file("known_hosts2", path, sizeof path, e);
    if (rc == RC_OK)
        rc = load(t, path, false, e);
    if (rc == RC_OK)
        rc = load(t, "/etc/ssh/ssh_known_hosts", false, e);
    if (rc == RC_OK)
        rc = load(t, "/etc/ssh/ssh_known_hosts2", false, e);
    return rc;
}

static void trust_free(struct trust *t)
{
    hostkeys_free(t->index);
    mem_free(t->append_path);
    pthread_rwlock_destroy(&t->lock);
    mem_free(t);
}

enum rc trust_new(struct trust **out, const struct options *o, uv_loop_t *loop, trust_fn fn,
                  void *user, struct err *e)
{
    struct trust *t = mem_calloc(1, sizeof *t);
    if (t == NULL)
        return err_nomem(e);
    pthread_rwlock_init(&t->lock, NULL);
    t->policy = o->host_keys;
    t->loop = loop;
    t->fn = fn;
    t->user = user;
    enum rc rc = hostkeys_new(&t->index, e);
    if (rc == RC_OK)
        rc = o->known_hosts.count > 0 ? load_named(t, o, e) : load_defaults(t, e);
    if (rc != RC_OK) {
        trust_free(t);
        return rc;
    }
    if (hostkeys_skipped(t->index) > 0)
        log_info("known_hosts: %zu lines could not be read and are skipped",
                 hostkeys_skipped(t->index));
    *out = t;
    return RC_OK;
}

/* ---- the decision: pure, from what the index found and the policy ---- */

static void say_unknown(struct trust_answer *a, const struct question *q, const char *print)
{
    a->problem = PROBLEM_HOST_KEY_UNKNOWN;
    snprintf(a->detail, sizeof a->detail, "no key on record; the host offers %s %s", q->key_type,
             print);
}

static void say_changed(struct trust_answer *a, const struct question *q, const char *print)
{
    a->problem = PROBLEM_HOST_KEY_CHANGED;
    snprintf(a->detail, sizeof a->detail, "offers %s %s, but %s has %s", q->key_type, print,
             q->found.where, q->found.recorded[0] != '\0' ? q->found.recorded : q->found.types);
}

static void decide(const struct trust *t, const struct question *q, struct trust_answer *a)
{
    char print[64] = "";
    hostkeys_fingerprint(print, q->blob, q->len);
    memset(a, 0, sizeof *a);
    switch (q->found.verdict) {
    case HOSTKEYS_MATCH: a->accept = true; return;
    case HOSTKEYS_REVOKED:
        a->problem = PROBLEM_HOST_KEY_REVOKED;
        snprintf(a->detail, sizeof a->detail, "%s %s is revoked at %s", q->key_type, print,
                 q->found.where);
        return;
    case HOSTKEYS_OTHER:
        if (!q->final && t->policy != HOST_KEYS_OFF)
            snprintf(a->retry_types, sizeof a->retry_types, "%s", q->found.types);
        say_changed(a, q, print);
        break;
    case HOSTKEYS_CHANGED: say_changed(a, q, print); break;
    case HOSTKEYS_CA_ONLY:
        a->problem = PROBLEM_HOST_KEY_CA;
        snprintf(a->detail, sizeof a->detail,
                 "%s trusts a host CA, which this SSH library cannot check; record the key itself "
                 "(%s)",
                 q->found.where, print);
        break;
    case HOSTKEYS_UNKNOWN: say_unknown(a, q, print); break;
    }
    if (t->policy == HOST_KEYS_OFF)
        *a = (struct trust_answer){.accept = true, .unproven = true};
}

/* accept-new takes a key only where no key of any type is on record for the host. */
static bool wants_adding(const struct trust *t, const struct question *q)
{
    return t->policy == HOST_KEYS_ACCEPT_NEW && q->found.verdict == HOSTKEYS_UNKNOWN;
}

static void answer_added(const struct question *q, struct trust_answer *a)
{
    memset(a, 0, sizeof *a);
    a->accept = a->unproven = q->added == RC_OK;
    if (a->accept)
        return;
    a->problem = q->added == RC_EXISTS ? PROBLEM_HOST_KEY_CHANGED : PROBLEM_HOST_KEY_UNKNOWN;
    snprintf(a->detail, sizeof a->detail, "its key could not be recorded: %.150s", q->err.msg);
}

/* ---- threads ---- */

static void work(uv_work_t *w)
{
    struct question *q = w->data;
    struct trust *t = q->trust;
    if (q->add && atomic_load(&t->locked_out)) {
        q->added = err_set(&q->err, RC_LIMIT, "%s: another program has it locked", t->append_path);
        return;
    }
    if (q->add) {
        /* The wait for the file is not one for the index: checks go on meanwhile. */
        q->added = hostkeys_await_lock(t->append_path, &q->err);
        if (q->added != RC_OK) {
            atomic_store(&t->locked_out, q->added == RC_LIMIT);
            return;
        }
        pthread_rwlock_wrlock(&t->lock);
        q->added = hostkeys_add(t->index, t->append_path, q->name, q->port, q->key_type, q->blob,
                                q->len, false, &q->err);
    } else {
        pthread_rwlock_rdlock(&t->lock);
        hostkeys_check(t->index, q->name, q->port, q->key_type, q->blob, q->len, &q->found);
    }
    pthread_rwlock_unlock(&t->lock);
}

static void conclude(struct question *q);

static void work_done(uv_work_t *w, int status)
{
    struct question *q = w->data;
    struct trust *t = q->trust;
    (void)status; /* nothing cancels this work */
    t->busy--;
    if (q->add)
        t->adding--;
    if (!t->closed) {
        conclude(q);
        return;
    }
    question_free(q);
    if (t->busy == 0)
        trust_free(t);
}

static bool queue(struct question *q)
{
    q->work.data = q;
    if (uv_queue_work(q->trust->loop, &q->work, work, work_done) != 0)
        return false;
    q->trust->busy++;
    if (q->add)
        q->trust->adding++;
    return true;
}

/* The index has answered (or the key was added): answer the question, or go on to add. */
static void conclude(struct question *q)
{
    struct trust *t = q->trust;
    struct trust_answer a;
    if (q->add) {
        answer_added(q, &a);
    } else if (wants_adding(t, q)) {
        q->add = true;
        if (queue(q))
            return;
        q->added = err_set(&q->err, RC_NOMEM, "no thread for it");
        answer_added(q, &a);
    } else {
        decide(t, q, &a);
    }
    t->fn(t->user, q->job, &a);
    question_free(q);
}

enum rc trust_ask(struct trust *t, uint64_t job, const char *name, uint16_t port,
                  const char *key_type, const void *blob, size_t len, bool final)
{
    struct question *q = mem_calloc(1, sizeof *q);
    if (q == NULL)
        return RC_NOMEM;
    q->trust = t;
    q->job = job;
    q->port = port;
    q->final = final;
    q->name = mem_strdup(name);
    q->key_type = mem_strdup(key_type);
    q->blob = mem_memdup(blob, len);
    q->len = len;
    if (q->name == NULL || q->key_type == NULL || q->blob == NULL) {
        question_free(q);
        return RC_NOMEM;
    }
    if (t->adding == 0 &&
        hostkeys_check_quick(t->index, q->name, port, q->key_type, blob, len, &q->found)) {
        conclude(q);
        return RC_OK;
    }
    if (queue(q))
        return RC_OK;
    question_free(q);
    return RC_NOMEM;
}

void trust_types(const struct trust *t, const char *name, uint16_t port, char *dst, size_t cap)
{
    dst[0] = '\0';
    /* While a key is being added the index may not be read here; the hint is only a hint. */
    if (t->policy != HOST_KEYS_OFF && t->adding == 0)
        hostkeys_types(t->index, name, port, dst, cap);
}

void trust_close(struct trust *t)
{
    if (t == NULL)
        return;
    t->closed = true;
    if (t->busy == 0)
        trust_free(t);
}
