/* The words of "muster vault ACTION [FILE...]" and which options go with which action. See
 * options_table.h. */
#include "controller/cli/options_table.h"

#include <string.h>

#include "common/str.h"

static const char *const actions[VAULT_ACTION_COUNT] = {
    [VAULT_ENCRYPT] = "encrypt", [VAULT_DECRYPT] = "decrypt", [VAULT_VIEW] = "view",
    [VAULT_EDIT] = "edit",       [VAULT_REKEY] = "rekey",
};

/* What ansible-vault calls them. */
static const char *habit_of_action(const char *word)
{
    if (strcmp(word, "encrypt_string") == 0)
        return "encrypt_string: type muster vault encrypt --name NAME; the value is asked for, or "
               "read "
               "from standard input";
    if (strcmp(word, "create") == 0)
        return "create: write the file, then type muster vault encrypt FILE";
    return NULL;
}

static enum rc take_action(struct options *o, struct err *e)
{
    if (o->words.count == 0)
        return err_set(e, RC_USAGE,
                       "vault: which action? muster vault encrypt, decrypt, view, edit or rekey");
    const char *word = o->words.items[0];
    for (int i = 0; i < VAULT_ACTION_COUNT; i++) {
        if (strcmp(word, actions[i]) != 0)
            continue;
        o->vault_action = (enum vault_action)i;
        o->words.count--;
        memmove(o->words.items, o->words.items + 1, o->words.count * sizeof *o->words.items);
        return RC_OK;
    }
    const char *habit = habit_of_action(word);
    if (habit != NULL)
        return err_set(e, RC_USAGE, "%s", habit);
    return err_set(e, RC_USAGE, "vault: '%.40s' is none of encrypt, decrypt, view, edit and rekey",
                   word);
}

static bool key_given(const struct vault_key_options *k)
{
    return k->file != NULL || k->command != NULL || k->fd != UINT32_MAX;
}

/* A word where a value would stand is not repeated: it may be the secret. */
static enum rc check_files(const struct options *o, struct err *e)
{
    const char *action = actions[o->vault_action];
    size_t n = o->words.count;
    for (size_t i = 0; i < n; i++)
        if (*o->words.items[i] == '\0')
            return err_set(e, RC_USAGE, "vault %s: an empty word names no file", action);
    switch (o->vault_action) {
    case VAULT_ENCRYPT:
        if (o->vault_name != NULL && n > 0)
            return err_set(
                e, RC_USAGE,
                "vault encrypt --name: the value is asked for or read from standard input, "
                "never taken from the command line, which others can see");
        return RC_OK;
    case VAULT_VIEW:
        return n <= 1 ? RC_OK : err_set(e, RC_USAGE, "vault view: one FILE, not %zu", n);
    case VAULT_EDIT:
        return n == 1 ? RC_OK : err_set(e, RC_USAGE, "vault edit: one FILE, not %zu", n);
    case VAULT_REKEY:
        return n > 0 ? RC_OK
                     : err_set(e, RC_USAGE, "which files? muster vault rekey FILE [FILE...]");
    default: return RC_OK;
    }
}

enum rc vault_words_settle(struct options *o, struct err *e)
{
    enum rc rc = take_action(o, e);
    if (rc == RC_OK && o->words.count == 1 && strcmp(o->words.items[0], "-") == 0)
        o->words.count = 0; /* standard input */
    if (rc == RC_OK)
        rc = check_files(o, e);
    if (rc != RC_OK)
        return rc;
    const char *action = actions[o->vault_action];
    if (o->vault_name != NULL &&
        (o->vault_action == VAULT_DECRYPT || o->vault_action == VAULT_REKEY))
        return err_set(e, RC_USAGE,
                       "vault %s: --name belongs to encrypt, view and edit (view --name NAME FILE "
                       "shows one value, rekey takes all of a file)",
                       action);
    if (o->vault_like != NULL && o->vault_action != VAULT_ENCRYPT)
        return err_set(e, RC_USAGE, "vault %s: --like belongs to encrypt", action);
    if (key_given(&o->new_vault_key) && o->vault_action != VAULT_REKEY)
        return err_set(e, RC_USAGE, "vault %s: --new-vault-key belongs to rekey", action);
    if (o->vault_key.fd == 0 && o->words.count == 0)
        return err_set(e, RC_USAGE,
                       "vault %s: standard input holds what is worked on; the key "
                       "comes through another descriptor",
                       action);
    if (o->vault_key.fd != UINT32_MAX && o->vault_key.fd == o->new_vault_key.fd)
        return err_set(e, RC_USAGE, "vault rekey: one descriptor cannot give both keys");
    return RC_OK;
}
