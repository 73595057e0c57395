/* Writing the outer form of a sealed text; vault_read of vault.h reads it. Private to
 * controller/vault. Pure. */
#ifndef CONTROLLER_VAULT_ENVELOPE_H
#define CONTROLLER_VAULT_ENVELOPE_H

#include "controller/vault/vault.h"

/* Appends the bytes of a header: what is authenticated with the body. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc envelope_header(const struct vault_header *h, struct buf *out);
/* Appends the text of a header and its body. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc envelope_text(const struct buf *bytes, struct buf *out);

#endif
