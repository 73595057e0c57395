/* See beyond.h. */
#include "controller/run/beyond.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "controller/run/jump_text.h"
#include "controller/sshconfig/algorithms.h"

static bool asks_for(const struct sshconfig_answer *a, enum sshword w)
{
    if (w == SSHWORD_CANONICALIZE)
        return a->value[w] != NULL && strcasecmp(a->value[w], "no") != 0 &&
               strcasecmp(a->value[w], "false") != 0;
    return !sshword_none(a->value[w]);
}

enum sshword beyond_word(const struct sshconfig_answer *a)
{
    static const enum sshword words[] = {
        SSHWORD_PROXY_COMMAND,    SSHWORD_BIND_ADDRESS, SSHWORD_BIND_INTERFACE, SSHWORD_PKCS11,
        SSHWORD_HOST_KEY_COMMAND, SSHWORD_REVOKED_KEYS, SSHWORD_CANONICALIZE};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (asks_for(a, words[i]) && !(words[i] == SSHWORD_PROXY_COMMAND &&
                                       jump_is_command(a->value[SSHWORD_PROXY_COMMAND])))
            return words[i];
    for (enum sshword w = SSHWORD_HOST_KEY_ALGORITHMS; w <= SSHWORD_MACS; w++)
        if (a->value[w] != NULL && algorithms_fit(w, a->value[w]) == ALGORITHMS_NONE)
            return w;
    return SSHWORD_COUNT;
}

bool beyond_old(const struct sshconfig_answer *a)
{
    for (enum sshword w = SSHWORD_HOST_KEY_ALGORITHMS; w <= SSHWORD_MACS; w++)
        if (a->value[w] != NULL && algorithms_fit(w, a->value[w]) == ALGORITHMS_OLD)
            return true;
    return false;
}

bool beyond_ticket(void)
{
    char path[64];
    const char *cache = getenv("KRB5CCNAME");
    snprintf(path, sizeof path, "/tmp/krb5cc_%u", (unsigned)getuid());
    return (cache != NULL && *cache != '\0') || access(path, R_OK) == 0;
}
