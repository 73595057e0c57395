/* muster: parses the command line and hands over to a verb. */
#include <stdio.h>

#include "common/log.h"
#include "controller/cmd.h"

#include <signal.h>
#include <stdlib.h>

static const char *environment(const char *name)
{
    return getenv(name);
}

static int print_text(struct options *o)
{
    size_t n = fwrite(o->text.data, 1, o->text.len, stdout);
    return n == o->text.len && fflush(stdout) == 0 ? 0 : 1;
}

static int dispatch(struct options *o)
{
    switch (o->verb) {
    case VERB_RUN: return cmd_run(o);
    case VERB_HOSTS: return cmd_hosts(o);
    case VERB_HISTORY: return cmd_history(o);
    case VERB_SHOW: return cmd_show(o);
    case VERB_RETRY: return cmd_retry(o);
    case VERB_HELP:
    case VERB_VERSION: return print_text(o);
    case VERB_COUNT: break;
    }
    must(!"a verb without a function");
    return 1;
}

int cmd_fail(const struct err *e)
{
    fprintf(stderr, "muster: %s\n", e->msg);
    return 1;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error like a full disk */
    struct options o;
    struct err e = {0};
    int code = 1;
    if (options_parse(&o, argc, argv, environment, &e) != RC_OK)
        code = cmd_fail(&e);
    else
        code = dispatch(&o);
    options_fini(&o);
    return code;
}
