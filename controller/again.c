/* See again.h. */
#include "controller/again.h"

#include <stdlib.h>
#include <string.h>

#include "controller/run/wrap.h"

/* A command that was not logged is typed again; its digest tells whether it is the same. */
static enum rc check_digest(const struct options *o, const struct record_run *run,
                            const json_t *start, struct err *e)
{
    const char *want = json_string_value(json_object_get(start, "command_digest"));
    char digest[RECORD_DIGEST];
    struct buf text;
    if (o->script != NULL || want == NULL)
        return RC_OK;
    buf_init(&text, WRAP_MAX);
    enum rc rc = wrap_words(o->words.items, o->words.count, &text, e);
    if (rc == RC_OK && strcmp(record_digest(digest, text.data, text.len), want) != 0)
        rc = err_set(e, RC_USAGE,
                     "this is not the command of run %s (its digest differs); for another command "
                     "type: muster run",
                     run->id);
    buf_fini(&text);
    return rc;
}

enum rc again_restore(struct options *o, const struct record_run *run, const json_t *start,
                      struct err *e)
{
    bool logged = !json_is_null(json_object_get(start, "command"));
    bool typed = o->words.count > 0;
    if (logged && typed)
        return err_set(e, RC_USAGE,
                       "a retry repeats the command of its run; for another one type: muster run "
                       "PATTERN -- COMMAND");
    char *replay = json_dumps(json_object_get(start, "replay"), JSON_COMPACT);
    if (replay == NULL)
        return err_set(e, RC_CONFIG, "the record of that run does not say how to repeat it");
    enum rc rc = options_replay_restore(o, replay, e);
    free(replay);
    return rc == RC_OK && typed ? check_digest(o, run, start, e) : rc;
}

enum rc again_keep_texts(struct options *o, const struct record_run *run, const json_t *start,
                         struct err *e)
{
    const char *pattern = json_string_value(json_object_get(start, "pattern"));
    const char *reason = json_string_value(json_object_get(start, "reason"));
    o->retry_of = arena_strdup(&o->arena, run->id);
    if (o->retry_of == NULL)
        return err_nomem(e);
    o->pattern = pattern != NULL ? arena_strdup(&o->arena, pattern) : NULL;
    if (pattern != NULL && o->pattern == NULL)
        return err_nomem(e);
    if (o->reason == NULL && reason != NULL &&
        (o->reason = arena_strdup(&o->arena, reason)) == NULL)
        return err_nomem(e);
    return RC_OK;
}
