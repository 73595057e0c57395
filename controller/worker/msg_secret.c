/* SECRET: the one message that carries a password. Raw, so that the text is written to the frame
 * and nowhere else. See msg.h. */
#include <string.h>

#include "controller/worker/msg.h"

enum rc msg_put_secret(struct buf *out, uint64_t job, const void *text, size_t len)
{
    if (len > SECRETS_MAX_TEXT)
        return RC_LIMIT;
    return frame_append(out, MSG_SECRET, job, text, len);
}

enum rc msg_get_secret(const struct frame *f, const char **text, size_t *len, struct err *e)
{
    if (f->length > SECRETS_MAX_TEXT ||
        (f->length > 0 && memchr(f->payload, '\0', f->length) != NULL))
        return err_set(e, RC_PROTO, "message %u: not a password", f->type);
    *text = (const char *)f->payload;
    *len = f->length;
    return RC_OK;
}
