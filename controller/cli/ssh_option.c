/* -O KEY=VALUE: the words of ssh_config that we know, each sent to the option it means.
 * See options_table.h. */
#include "controller/cli/options_table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "controller/sshconfig/words.h"

#define KNOWN                                                                                      \
    "User, Port, IdentityFile, HostName, ProxyCommand and the other words of ssh_config that say " \
    "where, as whom and how safely"

static const struct {
    const char *key, *option;
} words[] = {
    {"User", "user"},
    {"Port", "port"},
    {"IdentityFile", "key"},
    {"CertificateFile", "certificate"},
    {"IdentityAgent", "ssh-agent"},
    {"UserKnownHostsFile", "known-hosts"},
    {"StrictHostKeyChecking", "host-keys"},
    {"HostKeyAlias", "host-key-alias"},
    {"ConnectTimeout", "connect-timeout"},
};

static enum rc translate_checking(const char **value, struct err *e)
{
    static const char *const table[][2] = {
        {"yes", "strict"}, {"accept-new", "accept-new"}, {"no", "off"}, {"off", "off"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcasecmp(*value, table[i][0]) == 0) {
            *value = table[i][1];
            return RC_OK;
        }
    return err_set(e, RC_USAGE, "StrictHostKeyChecking=%.40s: say yes, accept-new or no%s", *value,
                   strcasecmp(*value, "ask") == 0 ? " (with many hosts nobody can be asked)" : "");
}

/* ssh takes several files in one word, with blanks between. */
static enum rc each_file(struct options *o, const struct option_def *d, const char *value,
                         enum option_source source, struct err *e)
{
    for (const char *p = value + strspn(value, " \t"); *p != '\0'; p += strspn(p, " \t")) {
        size_t n = strcspn(p, " \t");
        const char *one = arena_strndup(&o->arena, p, n);
        if (one == NULL)
            return err_nomem(e);
        enum rc rc = option_apply(o, d, one, source, e);
        if (rc != RC_OK)
            return rc;
        p += n;
    }
    return RC_OK;
}

static enum rc keep_other(struct options *o, const char *key, const char *value,
                          enum option_source source, struct err *e)
{
    enum sshword w = sshword_find(key);
    if (w >= SSHWORD_COUNT)
        return err_set(e, RC_USAGE, "'%.40s' is not a word we act on; we know " KNOWN, key);
    if (sshword_check(w, value, e) != RC_OK)
        return RC_USAGE;
    size_t n = strlen(key) + strlen(value) + 2;
    char *text = arena_alloc(&o->arena, n);
    if (text == NULL)
        return err_nomem(e);
    snprintf(text, n, "%s=%s", key, value);
    return option_apply(o, option_by_name("ssh-word", 8), text, source, e);
}

static enum rc pass_on(struct options *o, const char *key, const char *value,
                       enum option_source source, struct err *e)
{
    size_t i = 0, count = sizeof words / sizeof words[0];
    while (i < count && strcasecmp(words[i].key, key) != 0)
        i++;
    if (i == count) /* no option of ours is meant: it goes to the configuration as it is */
        return keep_other(o, key, value, source, e);
    const char *name = words[i].option;
    const struct option_def *to = option_by_name(name, strlen(name));
    must(to != NULL);
    if (strcmp(name, "host-keys") == 0 && translate_checking(&value, e) != RC_OK)
        return RC_USAGE;
    if (strcmp(name, "known-hosts") == 0)
        return each_file(o, to, value, source, e);
    if (strcmp(name, "connect-timeout") == 0 && value[0] != '\0' &&
        value[strspn(value, "0123456789")] == '\0') {
        size_t n = strlen(value);
        char *seconds = arena_alloc(&o->arena, n + 2);
        if (seconds == NULL)
            return err_nomem(e);
        snprintf(seconds, n + 2, "%ss", value);
        value = seconds;
    }
    enum rc rc = option_apply(o, to, value, source, e);
    return rc == RC_OK || rc == RC_NOMEM ? rc : err_wrap(e, "%s", words[i].key);
}

/* "Key=Value" or "Key Value", as ssh -o. */
enum rc set_ssh_option(struct options *o, const struct option_def *d, const char *value,
                       struct err *e)
{
    size_t n = strcspn(value, "= \t");
    char key[40];
    if (n == 0 || value[n] == '\0' || n >= sizeof key)
        return err_set(e, RC_USAGE, "'%.40s' is not KEY=VALUE; we know " KNOWN, value);
    memcpy(key, value, n);
    key[n] = '\0';
    const char *rest = value + n + strspn(value + n, " \t");
    rest += *rest == '=';
    rest += strspn(rest, " \t");
    if (*rest == '\0')
        return err_set(e, RC_USAGE, "%s= has no value", key);
    enum rc rc = options_add(o, &o->ssh_options, value, e);
    return rc != RC_OK ? rc : pass_on(o, key, rest, option_source_of(o, d), e);
}
