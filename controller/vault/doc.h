/* Where sealed texts stand in a file: the whole file is one, or it is YAML with values of the form
 *
 *     db_password: !vault |
 *       $MUSTER_VAULT;1
 *       TVVTVEVSVgEC...
 *
 * Looks at lines, does not parse YAML: what surrounds a value, comments and order included, stays
 * as it is byte for byte when values are sealed anew. Pure; one thread at a time.
 */
#ifndef CONTROLLER_VAULT_DOC_H
#define CONTROLLER_VAULT_DOC_H

#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

enum { DOC_MAX_SPANS = 10000 };

struct doc_span {
    size_t start, end; /* of the sealed lines in the text */
    size_t line;       /* where it begins, from 1 */
    size_t indent;     /* of the sealed lines */
    char *name;        /* the key it stands under; "" for a whole file */
    struct buf text;   /* the sealed text without indentation, as vault_open takes it */
};

struct doc {
    const char *text; /* borrowed */
    size_t len;
    struct doc_span *spans;
    size_t count, cap;
    size_t strange; /* line of the first !vault that is written in another way; 0: none */
};

/* RC_OK (count may be 0), RC_LIMIT, RC_NOMEM. doc_fini it whatever came back. */
enum rc doc_parse(struct doc *d, const char *text, size_t len, struct err *e);
void doc_fini(struct doc *d);

/* The one value of this name. RC_OK; RC_NOTFOUND; RC_AMBIGUOUS when several places have it. */
enum rc doc_find(const struct doc *d, const char *name, const struct doc_span **out, struct err *e);

/* Appends the text with the sealed text of each span replaced by fresh[i], unless that is empty.
 * RC_OK, RC_LIMIT, RC_NOMEM. */
enum rc doc_render(const struct doc *d, const struct buf *fresh, struct buf *out, struct err *e);

/* Appends "NAME: !vault |" and the sealed text, indented. RC_OK, RC_LIMIT, RC_NOMEM. */
enum rc doc_scalar(const char *name, const struct buf *sealed, struct buf *out, struct err *e);
/* RC_USAGE unless the name can be written as a plain YAML key: letters, digits, _ . and -. */
enum rc doc_check_name(const char *name, struct err *e);

#endif
