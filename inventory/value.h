/* Values of inventory variables: what YAML, JSON and INI can say, kept with the place it was
 * written at. Immutable after it was built; lives in an arena; any thread may read.
 */
#ifndef INVENTORY_VALUE_H
#define INVENTORY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"

enum value_type {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
    VALUE_VAULT /* "!vault" or another tag that we do not open: text kept, content unknown */
};

struct value_place {
    const char *file; /* NULL: not from a file (-w, a variable we made) */
    uint32_t line;    /* from 1 */
    uint32_t column;
};

struct value;

struct value_pair {
    const char *key; /* as JSON would write it when it was no string: "80", "true", "null" */
    const struct value *value;
    uint32_t line; /* of the key; 0 when not known */
    uint32_t column;
    enum value_type key_type; /* what the key was before it became text */
};

enum value_flags {
    VALUE_UNSAFE = 1, /* string tagged !unsafe: never a template, whatever it contains */
    VALUE_BIGINT = 2, /* string of digits that was written as a number too large for 64 bits */
};

struct value {
    enum value_type type;
    unsigned flags; /* enum value_flags, on strings */
    struct value_place place;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *data; /* NUL-terminated; may hold NULs inside */
            size_t len;
        } string; /* VALUE_STRING, VALUE_VAULT */
        struct {
            const struct value *const *items;
            size_t count;
        } list;
        struct {
            const struct value_pair *pairs; /* in the order written; keys unique */
            size_t count;
        } map;
    } u;
};

/* The member of a map, or NULL (also when v is NULL or no map). */
const struct value *value_get(const struct value *v, const char *key);

/* New values in `arena`; NULL when there is no memory. Text is copied, items and pairs are not. */
struct value *value_new(struct arena *arena, enum value_type type, const struct value_place *place);
struct value *value_new_string(struct arena *arena, const char *s, size_t n,
                               const struct value_place *place);
struct value *value_new_int(struct arena *arena, int64_t i, const struct value_place *place);

/* What Python's truth test says: null, false, 0, "", [] and {} are false. NULL is false. */
bool value_truthy(const struct value *v);
/* "a string", "a list", … for messages. */
const char *value_type_text(const struct value *v);

/* Strings that Ansible would run through Jinja: contain "{{", "{%" or "{#". */
bool value_is_template(const struct value *v);

/* Anything we cannot evaluate: a template or a vault value (not looked for inside lists, maps). */
bool value_is_opaque(const struct value *v);

/* "file:line:column", or "" when there is no place. Returns dst. */
char *value_place_text(char *dst, size_t cap, const struct value *v);

/* JSON text, the shape that ansible-inventory --list gives (templates as they are; vault values as
 * {"__ansible_vault": "…"}). Keys sorted when `sorted`; indent 0 for one line. */
enum rc value_json(struct buf *out, const struct value *v, bool sorted, unsigned indent);
/* The same as part of a document that is already `level` levels deep. */
enum rc value_json_at(struct buf *out, const struct value *v, bool sorted, unsigned indent,
                      unsigned level);

/* As Python's str() would show any value: scalars as value_text, lists and maps as repr() does.
 * Vault values show as "(sealed)". */
enum rc value_repr(struct buf *out, const struct value *v);

/* Python's repr() of a float, "1.5", "1e+16", "inf", "nan", into VALUE_FLOAT_TEXT bytes. Returns
 * dst. */
enum { VALUE_FLOAT_TEXT = 64 };
char *value_float_text(char *dst, double d);

/* As Python's str() would show a scalar: what a template would put in (True, 1.5, text). RC_OPAQUE
 * with the place when it is opaque; RC_PARSE for lists and maps. */
enum rc value_text(const struct value *v, struct buf *out, struct err *e);

/* Integer from an int or from a string of digits ("22"). RC_PARSE, RC_LIMIT, RC_OPAQUE with place.
 */
enum rc value_u64(const struct value *v, uint64_t min, uint64_t max, uint64_t *out, struct err *e);
/* Ansible's boolean(): bool, int, "yes/no/true/false/on/off/1/0/y/n/t/f" in any case. */
enum rc value_bool(const struct value *v, bool *out, struct err *e);

#endif
