/* See exec_request.h. */
#include "agent/exec_request.h"

#include <string.h>

#include "proto/frame.h"

static const struct {
    const char *name;
    int which;
} LIMITS[EXEC_MAX_LIMITS] = {
    {"nofile", RLIMIT_NOFILE}, {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},
    {"as", RLIMIT_AS},         {"nproc", RLIMIT_NPROC}, {"fsize", RLIMIT_FSIZE},
};

static enum rc wrong(struct err *e, const char *what)
{
    return err_set(e, RC_PROTO, "exec: %s", what);
}

/* A member that may be missing: its absence is as good as its being right. */
static bool bad(enum rc rc)
{
    return rc != RC_OK && rc != RC_NOTFOUND;
}

/* One word, copied and terminated. */
static enum rc copy(struct arena *a, const void *p, size_t n, char **out, struct err *e)
{
    if (n > 0 && memchr(p, '\0', n) != NULL)
        return wrong(e, "a NUL inside a word");
    *out = arena_strndup(a, n > 0 ? p : "", n);
    return *out != NULL ? RC_OK : err_nomem(e);
}

static enum rc read_list(struct exec_request *r, const struct wire_map *m, const char *key,
                         size_t max, char ***out, struct err *e)
{
    const msgpack_object_array *a = NULL;
    enum rc rc = wire_array(m, key, max, &a);
    if (bad(rc))
        return err_set(e, RC_PROTO, "exec: %s is not a list of at most %zu", key, max);
    size_t n = rc == RC_OK ? a->size : 0;
    char **list = arena_calloc(&r->arena, n + 1, sizeof *list);
    if (list == NULL)
        return err_nomem(e);
    for (size_t i = 0; i < n; i++) {
        const msgpack_object *o = &a->ptr[i];
        if (o->type != MSGPACK_OBJECT_BIN && o->type != MSGPACK_OBJECT_STR)
            return err_set(e, RC_PROTO, "exec: %s holds something that is not bytes", key);
        if ((rc = copy(&r->arena, o->via.bin.ptr, o->via.bin.size, &list[i], e)) != RC_OK)
            return rc;
    }
    *out = list;
    return RC_OK;
}

static enum rc read_text(struct exec_request *r, const struct wire_map *m, const char *key,
                         const char **out, struct err *e)
{
    const void *p;
    size_t n;
    char *s;
    enum rc rc = wire_bin(m, key, FRAME_MAX, &p, &n);
    if (rc == RC_NOTFOUND)
        return RC_OK;
    if (rc != RC_OK)
        return err_set(e, RC_PROTO, "exec: %s is not bytes", key);
    if ((rc = copy(&r->arena, p, n, &s, e)) == RC_OK)
        *out = s;
    return rc;
}

static enum rc read_command(struct exec_request *r, const struct wire_map *m, struct err *e)
{
    enum rc rc = read_list(r, m, "argv", EXEC_MAX_ARGS, &r->argv, e);
    if (rc == RC_OK)
        rc = read_text(r, m, "shell", &r->shell, e);
    if (rc != RC_OK)
        return rc;
    if ((r->argv[0] != NULL) == (r->shell != NULL))
        return wrong(e, "one of argv and shell is needed");
    if (r->argv[0] != NULL)
        return r->argv[0][0] != '\0' ? RC_OK : wrong(e, "argv names no program");
    static const char sh[] = "/bin/sh", c[] = "-c";
    if ((r->argv = arena_calloc(&r->arena, 4, sizeof *r->argv)) == NULL)
        return err_nomem(e);
    r->argv[0] = (char *)sh;
    r->argv[1] = (char *)c;
    r->argv[2] = (char *)r->shell;
    return RC_OK;
}

static size_t name_length(const char *entry)
{
    const char *eq = strchr(entry, '=');
    return eq != NULL ? (size_t)(eq - entry) : 0;
}

static bool named_in(char *const *list, const char *entry)
{
    size_t n = name_length(entry);
    for (; *list != NULL; list++)
        if (strncmp(*list, entry, n + 1) == 0)
            return true;
    return false;
}

const char *exec_env(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static enum rc read_env(struct exec_request *r, const struct wire_map *m, char *const *base,
                        struct err *e)
{
    static char *const none[] = {NULL};
    bool clear = false;
    enum rc rc = read_list(r, m, "env", EXEC_MAX_ENV, &r->extra, e);
    if (rc != RC_OK)
        return rc;
    if (bad(wire_bool(m, "clear_env", &clear)))
        return wrong(e, "clear_env is not a bool");
    if (clear)
        base = none;
    size_t n = 0, at = 0;
    for (char *const *p = base; *p != NULL; p++)
        n++;
    for (char **p = r->extra; *p != NULL; p++, n++)
        if (name_length(*p) == 0)
            return wrong(e, "an env entry is not NAME=VALUE");
    if ((r->envp = arena_calloc(&r->arena, n + 1, sizeof *r->envp)) == NULL)
        return err_nomem(e);
    for (char *const *p = base; *p != NULL; p++)
        if (!named_in(r->extra, *p))
            r->envp[at++] = *p;
    for (char **p = r->extra; *p != NULL; p++)
        if (!named_in(p + 1, *p)) /* the last of a name wins */
            r->envp[at++] = *p;
    return RC_OK;
}

static enum rc read_limits(struct exec_request *r, const struct wire_map *m, struct err *e)
{
    struct wire_map limits;
    enum rc rc = wire_map(m, "limits", &limits);
    if (rc == RC_NOTFOUND)
        return RC_OK;
    if (rc != RC_OK)
        return wrong(e, "limits is not a map");
    for (unsigned i = 0; i < EXEC_MAX_LIMITS; i++) {
        uint64_t v;
        rc = wire_u64(&limits, LIMITS[i].name, UINT64_MAX, &v);
        if (bad(rc))
            return err_set(e, RC_PROTO, "exec: limit %s is not a number", LIMITS[i].name);
        if (rc == RC_OK)
            r->limits[r->n_limits++] =
                (struct exec_limit){LIMITS[i].name, LIMITS[i].which, (rlim_t)v};
    }
    /* One that was asked for and is not known would not hold: that must be said. */
    if (r->n_limits != wire_count(&limits))
        return wrong(e, "a limit that is not known");
    return RC_OK;
}

static enum rc read_times(struct exec_request *r, const struct wire_map *m, struct err *e)
{
    uint64_t mask;
    enum rc rc = wire_u64(m, "umask", 0777, &mask);
    if (bad(rc))
        return wrong(e, "umask is not 0 to 0777");
    if (rc == RC_OK)
        r->mask = (int)mask;
    if (bad(wire_bool(m, "stdin", &r->input)))
        return wrong(e, "stdin is not a bool");
    if (bad(wire_u64(m, "timeout_ms", EXEC_MAX_MS, &r->timeout_ms)) ||
        bad(wire_u64(m, "grace_ms", EXEC_MAX_MS, &r->grace_ms)))
        return wrong(e, "timeout_ms or grace_ms is not a time");
    char how[16] = "kill";
    if (bad(wire_str_to(m, "on_disconnect", how, sizeof how)) ||
        (strcmp(how, "kill") != 0 && strcmp(how, "continue") != 0))
        return wrong(e, "on_disconnect is neither continue nor kill");
    r->lives_on = strcmp(how, "continue") == 0;
    return RC_OK;
}

/* What sudo takes for a user: it must not be read as an option or as a number of ours. */
static bool user_valid(const char *s)
{
    if (*s == '\0' || *s == '-')
        return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == ':' || *s == '/' || *s == 0x7f)
            return false;
    return true;
}

static enum rc read_become(struct exec_request *r, const struct wire_map *m, struct err *e)
{
    struct wire_map b;
    char method[16] = "sudo";
    enum rc rc = wire_map(m, "become", &b);
    if (rc == RC_NOTFOUND)
        return RC_OK;
    memcpy(r->become_user, "root", sizeof "root");
    if (rc != RC_OK || bad(wire_str_to(&b, "user", r->become_user, sizeof r->become_user)) ||
        !user_valid(r->become_user) || bad(wire_bool(&b, "password", &r->become_password)))
        return wrong(e, "become is not a user and a bool password");
    if (bad(wire_str_to(&b, "method", method, sizeof method)) || strcmp(method, "sudo") != 0)
        return wrong(e, "the method of become is not sudo");
    /* Nothing would tell sudo's prompt from what the program itself writes to the terminal. */
    if (r->become_password && r->shell == NULL)
        return wrong(e, "become with a password wants shell, not argv");
    r->become = true;
    return RC_OK;
}

bool exec_run_valid(const char *run)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
    size_t n = strspn(run, allowed);
    return n > 0 && n <= EXEC_MAX_RUN && run[n] == '\0' && run[0] != '-';
}

static enum rc read_detach(struct exec_request *r, const struct wire_map *m, struct err *e)
{
    struct wire_map d;
    enum rc rc = wire_map(m, "detach", &d);
    if (rc == RC_NOTFOUND)
        return RC_OK;
    r->max_output = EXEC_JOB_OUTPUT;
    if (rc != RC_OK || wire_str_to(&d, "run", r->run, sizeof r->run) != RC_OK ||
        !exec_run_valid(r->run))
        return wrong(e, "detach has no run of 1 to 64 letters, digits and '-'");
    if (bad(wire_str_to(&d, "host", r->host, sizeof r->host)) ||
        bad(wire_u64(&d, "max_output", EXEC_MAX_OUTPUT, &r->max_output)))
        return wrong(e, "detach has a host or max_output that cannot be");
    if (r->input)
        return wrong(e, "a detached command has no stdin: who would feed it?");
    r->detach = r->lives_on = true;
    return RC_OK;
}

enum rc exec_request_read(struct exec_request *r, const struct wire_map *m, char *const *base,
                          struct err *e)
{
    *r = (struct exec_request){.mask = -1, .grace_ms = EXEC_GRACE_MS};
    arena_init(&r->arena);
    enum rc rc = read_command(r, m, e);
    if (rc == RC_OK)
        rc = read_env(r, m, base, e);
    if (rc == RC_OK)
        rc = read_text(r, m, "cwd", &r->cwd, e);
    if (rc == RC_OK)
        rc = read_limits(r, m, e);
    if (rc == RC_OK)
        rc = read_times(r, m, e);
    if (rc == RC_OK)
        rc = read_become(r, m, e);
    if (rc == RC_OK)
        rc = read_detach(r, m, e);
    if (rc != RC_OK)
        exec_request_fini(r);
    return rc;
}

void exec_request_fini(struct exec_request *r)
{
    arena_fini(&r->arena);
}
