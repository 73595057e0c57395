/* See argv.h. */
#include "controller/openssh/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"

/* Nothing but the one command: no terminal, no questions, no forwarding, no shared connection, and
 * a log that says what happened. First, because in ssh the first value of a word wins. */
static const char *const fixed[] = {
    "BatchMode=yes",
    "LogLevel=DEBUG1",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "RemoteCommand=none",
    "PermitLocalCommand=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    "UpdateHostKeys=no",
    "VisualHostKey=no",
    "AddKeysToAgent=no",
    "EscapeChar=none",
    "NumberOfPasswordPrompts=0",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
};

struct making {
    struct arena *arena;
    char **argv;
    unsigned count;
    enum rc rc;
    struct err *e;
};

static void add(struct making *m, const char *word)
{
    if (m->rc != RC_OK)
        return;
    if (m->count + 1 >= OPENSSH_MAX_WORDS) {
        m->rc = err_set(m->e, RC_LIMIT, "more than %d words for ssh", OPENSSH_MAX_WORDS);
        return;
    }
    m->argv[m->count] = arena_strdup(m->arena, word);
    if (m->argv[m->count++] == NULL)
        m->rc = err_nomem(m->e);
}

__attribute__((format(printf, 2, 3))) static void add_option(struct making *m, const char *fmt, ...)
{
    char text[4200];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (m->rc == RC_OK && (n < 0 || (size_t)n >= sizeof text))
        m->rc = err_set(m->e, RC_LIMIT, "an option for ssh is too long");
    add(m, "-o");
    add(m, text);
}

/* One value of one option: no control characters, and no quote that would end ours. */
static bool is_plain(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\')
            return false;
    return *text != '\0';
}

static void check(struct making *m, const char *what, const char *text)
{
    if (m->rc == RC_OK && text != NULL && (!is_plain(text) || *text == '-'))
        m->rc = err_set(m->e, RC_CONFIG, "%s '%.100s' cannot be handed to ssh", what, text);
}

/* As ssh itself, which passes user and host on to shells (CVE-2023-51385). */
static void check_name(struct making *m, const char *what, const char *text)
{
    check(m, what, text);
    if (m->rc == RC_OK && text != NULL && strpbrk(text, " \t'`$;&<>|(){}*?") != NULL)
        m->rc = err_set(m->e, RC_CONFIG, "%s '%.100s' cannot be handed to ssh", what, text);
}

static void add_known_hosts(struct making *m, const struct openssh_target *t)
{
    struct buf list;
    enum rc rc = RC_OK;
    if (t->known_host_count == 0)
        return;
    buf_init(&list, 4000);
    for (unsigned i = 0; rc == RC_OK && i < t->known_host_count; i++) {
        check(m, "known_hosts file", t->known_hosts[i]);
        rc = buf_printf(&list, "%s\"%s\"", i > 0 ? " " : "", t->known_hosts[i]);
    }
    const char *text = rc == RC_OK ? buf_cstr(&list) : NULL;
    if (text != NULL)
        add_option(m, "UserKnownHostsFile=%s", text);
    else if (m->rc == RC_OK)
        m->rc = rc == RC_LIMIT ? err_set(m->e, rc, "the known_hosts files' names are too long")
                               : err_nomem(m->e);
    buf_fini(&list);
    add_option(m, "GlobalKnownHostsFile=/dev/null");
}

static void add_own(struct making *m, const struct openssh_target *t)
{
    if (t->checking != NULL)
        add_option(m, "StrictHostKeyChecking=%s", t->checking);
    add_known_hosts(m, t);
    if (t->alias != NULL)
        add_option(m, "HostKeyAlias=%s", t->alias);
    if (t->direct)
        add_option(m, "ProxyJump=none");
    for (unsigned i = 0; i < t->word_count; i++)
        add_option(m, "%s", t->words[i]);
    if (t->key != NULL) {
        add(m, "-i");
        add(m, t->key);
    }
    if (t->user != NULL) {
        add(m, "-l");
        add(m, t->user);
    }
    if (t->port != 0) {
        char text[8];
        snprintf(text, sizeof text, "%u", t->port);
        add(m, "-p");
        add(m, text);
    }
}

enum rc openssh_argv(const struct openssh_target *t, struct arena *arena,
                     char *argv[OPENSSH_MAX_WORDS], struct err *e)
{
    struct making m = {.arena = arena, .argv = argv, .e = e};
    check_name(&m, "the host", t->host);
    check_name(&m, "the user", t->user);
    check_name(&m, "HostKeyAlias", t->alias);
    check(&m, "the key", t->key);
    if (m.rc == RC_OK && strlen(t->command) > OPENSSH_MAX_COMMAND)
        m.rc = err_set(e, RC_LIMIT,
                       "the command is longer than the %d KiB that fit on ssh's command line",
                       OPENSSH_MAX_COMMAND / 1024);
    add(&m, t->program);
    if (t->config != NULL) {
        add(&m, "-F");
        add(&m, t->config);
    }
    add(&m, "-T");
    add(&m, "-E");
    add(&m, t->log);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        add_option(&m, "%s", fixed[i]);
    add_own(&m, t);
    add(&m, "--");
    add(&m, t->host);
    add(&m, t->command);
    argv[m.count] = NULL;
    return m.rc;
}
