/* See trust.h. */
#include "controller/run/trust.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

struct trust_set { /* files that some hosts have of their own */
    struct hostkeys *index;
    char *append_path; /* NULL: there is no file of the user's */
};

struct trust {
    struct hostkeys *index;
    pthread_rwlock_t lock; /* readers: checks on any thread; writer: an addition */
    enum host_keys_policy policy;
    char *append_path;      /* where accept-new writes; NULL when it does not */
    struct trust_set *sets; /* from number 1 on */
    size_t set_count, set_cap;
    uv_loop_t *loop;
    trust_fn fn;
    void *user;
    unsigned adding; /* additions on their way: the loop must not wait for the lock */
    unsigned busy;   /* questions on threads */
    _Atomic(const char *) locked_out; /* this file stays locked: nobody else waits for it */
    bool closed;
};

struct question {
    uv_work_t work;
    struct trust *trust;
    struct hostkeys *index; /* of its set */
    const char *append_path;
    enum host_keys_policy policy;
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

static void trust_free(struct trust *t)
{
    for (size_t i = 0; i < t->set_count; i++) {
        hostkeys_free(t->sets[i].index);
        mem_free(t->sets[i].append_path);
    }
    mem_free(t->sets);
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
    struct hostkeys_files files = {
        .named = o->known_hosts.items,
        .count = o->known_hosts.count,
        .may_lack_first = t->policy == HOST_KEYS_ACCEPT_NEW || o->verb == VERB_KEYSCAN,
        .may_lack_all = t->policy == HOST_KEYS_OFF,
    };
    enum rc rc = hostkeys_open(&t->index, &files, &t->append_path, e);
    char option[64];
    if (rc == RC_NOTFOUND) /* of the files that were named only */
        err_wrap(e, "%s", options_blame(o, "known-hosts", option, sizeof option));
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

static enum rc load_all(struct hostkeys *index, const char *const *files, size_t count,
                        struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        rc = hostkeys_load(index, files[i], e);
        if (rc == RC_NOTFOUND)
            rc = RC_OK;
    }
    return rc;
}

enum rc trust_add_set(struct trust *t, const char *const *user, size_t user_count,
                      const char *const *global, size_t global_count, struct err *e)
{
    struct trust_set set = {0};
    if (mem_grow(&t->sets, &t->set_cap, t->set_count + 1, sizeof *t->sets) != 0)
        return err_nomem(e);
    enum rc rc = hostkeys_new(&set.index, e);
    if (rc == RC_OK && user_count > 0 && (set.append_path = mem_strdup(user[0])) == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = load_all(set.index, user, user_count, e);
    if (rc == RC_OK)
        rc = load_all(set.index, global, global_count, e);
    if (rc == RC_OK) {
        t->sets[t->set_count++] = set;
        return RC_OK;
    }
    hostkeys_free(set.index);
    mem_free(set.append_path);
    return rc;
}

static struct hostkeys *index_of(const struct trust *t, const struct trust_rule *rule)
{
    if (rule == NULL || rule->set == 0)
        return t->index;
    must(rule->set <= t->set_count);
    return t->sets[rule->set - 1].index;
}

static enum host_keys_policy policy_of(const struct trust *t, const struct trust_rule *rule)
{
    return rule != NULL && rule->own_policy ? rule->policy : t->policy;
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

static void decide(const struct question *q, struct trust_answer *a)
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
        if (!q->final && q->policy != HOST_KEYS_OFF)
            snprintf(a->retry_types, sizeof a->retry_types, "%s", q->found.types);
        say_changed(a, q, print);
        break;
    case HOSTKEYS_CHANGED: say_changed(a, q, print); break;
    case HOSTKEYS_CA_ONLY:
        a->problem = PROBLEM_HOST_KEY_CA;
        snprintf(a->detail, sizeof a->detail,
                 "%s trusts a host CA: muster keyscan checks the certificate and records the key "
                 "(%s)",
                 q->found.where, print);
        break;
    case HOSTKEYS_EXPIRED:
        a->problem = PROBLEM_HOST_KEY_EXPIRED;
        snprintf(a->detail, sizeof a->detail,
                 "the certificate that vouched for the key at %s has expired: muster keyscan "
                 "renews it",
                 q->found.where);
        break;
    case HOSTKEYS_UNKNOWN: say_unknown(a, q, print); break;
    }
    if (q->policy == HOST_KEYS_OFF)
        *a = (struct trust_answer){.accept = true, .unproven = true};
}

/* accept-new takes a key only where no key of any type is on record for the host. */
static bool wants_adding(const struct question *q)
{
    return q->policy == HOST_KEYS_ACCEPT_NEW && q->append_path != NULL &&
           q->found.verdict == HOSTKEYS_UNKNOWN;
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
    if (q->add && atomic_load(&t->locked_out) == q->append_path) {
        q->added = err_set(&q->err, RC_LIMIT, "%s: another program has it locked", q->append_path);
        return;
    }
    if (q->add) {
        /* The wait for the file is not one for the index: checks go on meanwhile. */
        q->added = hostkeys_await_lock(q->append_path, &q->err);
        if (q->added != RC_OK) {
            if (q->added == RC_LIMIT)
                atomic_store(&t->locked_out, q->append_path);
            return;
        }
        pthread_rwlock_wrlock(&t->lock);
        q->added = hostkeys_add(q->index, q->append_path, q->name, q->port, q->key_type, q->blob,
                                q->len, false, &q->err);
    } else {
        pthread_rwlock_rdlock(&t->lock);
        hostkeys_check(q->index, q->name, q->port, q->key_type, q->blob, q->len, &q->found);
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
    } else if (wants_adding(q)) {
        q->add = true;
        if (queue(q))
            return;
        q->added = err_set(&q->err, RC_NOMEM, "no thread for it");
        answer_added(q, &a);
    } else {
        decide(q, &a);
    }
    t->fn(t->user, q->job, &a);
    question_free(q);
}

enum rc trust_ask(struct trust *t, const struct trust_rule *rule, uint64_t job, const char *name,
                  uint16_t port, const char *key_type, const void *blob, size_t len, bool final)
{
    struct question *q = mem_calloc(1, sizeof *q);
    if (q == NULL)
        return RC_NOMEM;
    bool own_files = rule != NULL && rule->set > 0;
    q->trust = t;
    q->index = index_of(t, rule);
    q->append_path = own_files ? t->sets[rule->set - 1].append_path : t->append_path;
    q->policy = policy_of(t, rule);
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
        hostkeys_check_quick(q->index, q->name, port, q->key_type, blob, len, &q->found)) {
        conclude(q);
        return RC_OK;
    }
    if (queue(q))
        return RC_OK;
    question_free(q);
    return RC_NOMEM;
}

void trust_types(const struct trust *t, const struct trust_rule *rule, const char *name,
                 uint16_t port, char *dst, size_t cap)
{
    dst[0] = '\0';
    /* While a key is being added the index may not be read here; the hint is only a hint. */
    if (policy_of(t, rule) != HOST_KEYS_OFF && t->adding == 0)
        hostkeys_types(index_of(t, rule), name, port, dst, cap);
}

struct hostkeys *trust_index(const struct trust *t, const struct trust_rule *rule)
{
    return index_of(t, rule);
}

const char *trust_file(const struct trust *t, const struct trust_rule *rule)
{
    return rule->set == 0 ? t->append_path : t->sets[rule->set - 1].append_path;
}

size_t trust_sets(const struct trust *t)
{
    return t->set_count;
}

void trust_close(struct trust *t)
{
    if (t == NULL)
        return;
    t->closed = true;
    if (t->busy == 0)
        trust_free(t);
}
