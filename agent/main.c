/* The program muster-agent: starts on a host, speaks with the controller on its standard streams
 * until they end, and leaves. agent/README.md lists its options and exit codes.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/core/core.h"
#include "agent/digest.h"
#include "agent/loop.h"
#include "agent/options.h"
#include "agent/place.h"
#include "common/clock.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_INTERNAL = 1, /* no memory, a system call that has to work */
    EXIT_USAGE = 2,
    EXIT_PROTOCOL = 3, /* the controller sent what the protocol does not allow */
    EXIT_DIGEST = 4,   /* our file is not what --expect says */
};

#if defined(__x86_64__)
#define ARCH "x86_64"
#elif defined(__aarch64__)
#define ARCH "aarch64"
#else
#define ARCH "other"
#endif

/* One line, where it can be written at once: nobody may hold us up with a full pipe. */
static int say(enum exit_code code, const char *what, const char *more)
{
    char line[1024];
    struct pollfd p = {STDERR_FILENO, POLLOUT, 0};
    int n = snprintf(line, sizeof line, "muster-agent: %s%s%s\n", what, *more ? ": " : "", more);
    if (n > 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0)
        (void)!write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    return code;
}

static int print(const char *text, size_t n, enum exit_code code)
{
    while (n > 0) {
        ssize_t went = write(STDOUT_FILENO, text, n);
        if (went < 0 && errno != EINTR)
            return EXIT_INTERNAL;
        text += went > 0 ? went : 0;
        n -= went > 0 ? (size_t)went : 0;
    }
    return code;
}

static int place(const struct options *o)
{
    struct buf line;
    buf_init(&line, 32 * 1024);
    bool ok = place_run(&(struct place){o->from, o->place, o->expect}, &line);
    int code = print((const char *)line.data, line.len, ok ? EXIT_DONE : EXIT_INTERNAL);
    buf_fini(&line);
    return code;
}

static int print_digest(void)
{
    char hex[DIGEST_HEX + 2];
    if (digest_self(hex) != 0)
        return say(EXIT_INTERNAL, "/proc/self/exe", strerror(errno));
    hex[DIGEST_HEX] = '\n';
    return print(hex, DIGEST_HEX + 1, EXIT_DONE);
}

static int finish(const struct serve *s)
{
    switch (serve_result(s)) {
    case RC_OK: return EXIT_DONE;
    case RC_PROTO: return say(EXIT_PROTOCOL, "the controller broke the protocol", serve_reason(s));
    default: return say(EXIT_INTERNAL, rc_name(serve_result(s)), serve_reason(s));
    }
}

static int run(const struct serve_config *c, const struct streams *st)
{
    struct serve *s;
    struct err e = {0};
    if (serve_new(&s, c, clock_ms()) != RC_OK)
        return say(EXIT_INTERNAL, "out of memory", "");
    enum rc rc = loop_run(s, st, &e);
    int code = rc == RC_OK ? finish(s) : say(EXIT_INTERNAL, e.msg, "");
    serve_free(s);
    return code;
}

static int serve(const struct options *o, const char *digest)
{
    struct streams st;
    struct limits limits;
    struct err e = {0};
    char boot_id[PROCESS_BOOT_ID];
    struct serve_config c = {.allow = o->allow,
                             .idle_ms = o->idle_ms,
                             .kinds = op_kinds,
                             .limits = &limits,
                             .version = MUSTER_VERSION,
                             .digest = digest,
                             .arch = ARCH,
                             .boot_id = boot_id,
                             .uid = geteuid(),
                             .pid = (uint64_t)getpid()};
    if (process_set_up(&st, &limits, &e) != RC_OK ||
        core_new(&c.core, &(struct core_spec){.root = "", .may_fork = true}, &e) != RC_OK)
        return say(EXIT_INTERNAL, e.msg, "");
    memcpy(c.nonce, o->nonce, sizeof c.nonce);
    process_boot_id(boot_id);
    int code = run(&c, &st);
    core_free(c.core);
    return code;
}

/* Our own file first: what was damaged on its way must not say anything to the controller. */
static int check_and_serve(const struct options *o)
{
    char digest[DIGEST_HEX + 1] = "";
    int rc = digest_self(digest);
    if (o->expect != NULL && rc != 0)
        return say(EXIT_DIGEST, "/proc/self/exe", strerror(errno));
    if (o->expect != NULL && strcmp(digest, o->expect) != 0)
        return say(EXIT_DIGEST, "this file is not what was expected, its digest is", digest);
    if (o->temporary && process_unlink_self() != 0)
        (void)say(EXIT_DONE, "could not remove itself", strerror(errno));
    return serve(o, digest);
}

int main(int argc, char **argv)
{
    struct options o;
    struct err e = {0};
    if (argc < 1 || options_read(&o, argv + 1, getenv("SSH_ORIGINAL_COMMAND"), &e) != RC_OK)
        return say(EXIT_USAGE, e.msg, "");
    switch (o.mode) {
    case MODE_PLACE: return place(&o);
    case MODE_VERSION:
        return print("muster-agent " MUSTER_VERSION " " ARCH "\n",
                     strlen("muster-agent " MUSTER_VERSION " " ARCH "\n"), EXIT_DONE);
    case MODE_DIGEST: return print_digest();
    case MODE_SERVE: break;
    }
    return check_and_serve(&o);
}
