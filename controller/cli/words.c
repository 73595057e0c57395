/* See words.h. */
#include "controller/cli/words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

void words_init(struct words *w, enum verb verb, int argc, char **argv, int first)
{
    *w = (struct words){.argc = argc, .argv = argv, .verb = verb, .at = first};
}

static struct word take_value(struct words *w, struct word word)
{
    if (w->at >= w->argc) {
        word.kind = WORD_NO_VALUE;
        return word;
    }
    word.value = w->argv[w->at++];
    return word;
}

static struct word take_letter(struct words *w)
{
    struct word word = {.kind = WORD_OPTION, .is_short = true};
    char letter = *w->flags++;
    snprintf(word.spelling, sizeof word.spelling, "-%c", letter);
    const char *rest = *w->flags != '\0' ? w->flags : NULL;
    word.def = option_by_letter(letter);
    if (word.def == NULL) {
        word.kind = WORD_UNKNOWN;
        rest = NULL; /* what follows may be its value: nothing there can be trusted */
    } else if (word.def->arg == NULL || (word.def->flags & OPTION_MAYBE) != 0) {
        word.value = "true";
    } else {
        w->flags = NULL;
        word.value = rest;
        return rest != NULL ? word : take_value(w, word);
    }
    w->flags = rest;
    return word;
}

static struct word take_long(struct words *w, const char *arg)
{
    struct word word = {.kind = WORD_OPTION};
    size_t n = strcspn(arg + 2, "=");
    snprintf(word.spelling, sizeof word.spelling, "--%.*s", (int)n, arg + 2);
    word.def = option_by_name(arg + 2, n);
    word.value = arg[2 + n] == '=' ? arg + 2 + n + 1 : NULL;
    if (word.def == NULL)
        word.kind = WORD_UNKNOWN;
    else if (word.value == NULL && (word.def->arg == NULL || (word.def->flags & OPTION_MAYBE) != 0))
        word.value = "true";
    else if (word.value == NULL)
        return take_value(w, word);
    return word;
}

/* "-2" names a run for show and retry: the one before the last. */
static bool is_run(const struct words *w, const char *arg)
{
    return (w->verb == VERB_SHOW || w->verb == VERB_RETRY || w->verb == VERB_ATTACH) &&
           isdigit((unsigned char)arg[1]);
}

struct word words_next(struct words *w)
{
    if (w->flags != NULL)
        return take_letter(w);
    if (w->at >= w->argc)
        return (struct word){.kind = WORD_END};
    const char *arg = w->argv[w->at++];
    if (strcmp(arg, "--") == 0)
        return (struct word){.kind = WORD_DASHES};
    if (str_starts(arg, "--"))
        return take_long(w, arg);
    if (arg[0] == '-' && arg[1] != '\0' && !is_run(w, arg)) {
        w->flags = arg + 1;
        return take_letter(w);
    }
    return (struct word){.kind = WORD_PLAIN, .value = arg};
}
