/* Prints what we make of a file of ssh_config for each host named on the command line, for the test
 * that compares it with `ssh -G`: sshconfig_tool FILE HOST...
 *
 * One "word value..." a line, words in lower case, and an empty line after each host; an error is
 * "! " and its message, with exit code 1.
 */
#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/sshconfig/sshconfig.h"

static void put_word(enum sshword w)
{
    for (const char *p = sshword_name(w); *p != '\0'; p++)
        putchar(tolower((unsigned char)*p));
}

static void put_list(enum sshword w, struct sshconfig_list list)
{
    if (list.count == 0)
        return;
    put_word(w);
    for (size_t i = 0; i < list.count; i++)
        printf(" %s", list.items[i]);
    putchar('\n');
}

static void put_each(enum sshword w, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_word(w);
        printf(" %s\n", items[i]);
    }
}

static void put_answer(const struct sshconfig_answer *a)
{
    printf("hostname %s\n", a->hostname);
    for (int w = SSHWORD_HOSTNAME + 1; w < SSHWORD_COUNT; w++) {
        if (a->value[w] == NULL)
            continue;
        put_word((enum sshword)w);
        if (w == SSHWORD_CONNECT_TIMEOUT)
            printf(" %u\n", sshword_seconds(a->value[w]));
        else
            printf(" %s\n", a->value[w]);
    }
    put_each(SSHWORD_IDENTITY_FILE, a->identities, a->identity_count);
    put_each(SSHWORD_CERTIFICATE_FILE, a->certificates, a->certificate_count);
    put_list(SSHWORD_USER_KNOWN_HOSTS, a->user_known_hosts);
    put_list(SSHWORD_GLOBAL_KNOWN_HOSTS, a->global_known_hosts);
    if (a->undecided != NULL)
        printf("undecided %s\n", a->undecided);
    putchar('\n');
}

int main(int argc, char **argv)
{
    static struct sshconfig_answer a;
    struct sshconfig *c = NULL;
    struct err e = {0};
    const struct passwd *pw = getpwuid(getuid());
    if (argc < 3 || pw == NULL)
        return 2;
    enum rc rc = sshconfig_new(&c, &e);
    if (rc == RC_OK)
        rc = sshconfig_load(c, argv[1], pw->pw_dir, true, false, &e);
    for (int i = 2; rc == RC_OK && i < argc; i++) {
        struct sshconfig_query q = {.host = argv[i], .local_user = pw->pw_name};
        rc = sshconfig_lookup(c, &q, &a, &e);
        if (rc == RC_OK)
            put_answer(&a);
    }
    if (rc != RC_OK)
        printf("! %s\n", e.msg);
    sshconfig_free(c);
    return rc == RC_OK ? 0 : 1;
}
