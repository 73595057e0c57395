/* muster: parses the command line and hands over to a verb. */
#include <signal.h>
#include <stdlib.h>

#include "common/descriptors.h"
#include "common/log.h"
#include "controller/cmd.h"
#include "controller/worker/worker.h"

static const char *environment(const char *name)
{
    return getenv(name);
}

static int print_text(struct options *o)
{
    cmd_write(o->text.data, o->text.len);
    return cmd_printed();
}

static int dispatch(struct options *o)
{
    switch (o->verb) {
    case VERB_RUN: return cmd_run(o);
    case VERB_HOSTS: return cmd_hosts(o);
    case VERB_HISTORY: return cmd_history(o);
    case VERB_SHOW: return cmd_show(o);
    case VERB_RETRY: return cmd_retry(o);
    case VERB_VAULT: return cmd_vault(o);
    case VERB_KEYSCAN: return cmd_keyscan(o);
    case VERB_STATS: return cmd_stats(o);
    case VERB_DEBUG: return cmd_debug(o);
    case VERB_ATTACH: return cmd_attach(o);
    case VERB_HELP:
    case VERB_VERSION: return print_text(o);
    case VERB_COUNT: break;
    }
    must(!"a verb without a function");
    return 1;
}

int main(int argc, char **argv)
{
    if (worker_is_called(argc, argv))
        worker_again(argv);
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
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        log_debug("coordinator: %u descriptors at the end", descriptors_open());
    return code;
}
