/* See limits.h. */
#include "agent/limits.h"

#include <stddef.h>
#include <sys/stat.h>

static const int changed[LIMITS_SIGNALS] = {SIGPIPE, SIGCHLD, SIGTERM, SIGHUP, SIGINT};

void limits_take(struct limits *l)
{
    sigset_t none;
    getrlimit(RLIMIT_CORE, &l->core);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, l->core.rlim_max});
    l->umask = umask(077);
    for (size_t i = 0; i < LIMITS_SIGNALS; i++) {
        struct sigaction sa = {.sa_handler = changed[i] == SIGPIPE ? SIG_IGN : SIG_DFL};
        sigaction(changed[i], &sa, &l->signals[i]);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, &l->mask);
}

void limits_restore(const struct limits *l)
{
    if (l == NULL)
        return;
    setrlimit(RLIMIT_CORE, &l->core);
    umask(l->umask);
    for (size_t i = 0; i < LIMITS_SIGNALS; i++)
        sigaction(changed[i], &l->signals[i], NULL);
    sigprocmask(SIG_SETMASK, &l->mask, NULL);
}
