/* Samples for tests: JSON text in, the msgpack that an agent would send out. A string that begins
 * with "bin:" becomes bin. */
#ifndef TESTS_UNIT_SAMPLE_FIXTURE_H
#define TESTS_UNIT_SAMPLE_FIXTURE_H

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/wire.h"

static inline void sample_put(struct wire_out *w, const json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        wire_add_map(w, json_object_size(v));
        json_object_foreach((json_t *)v, key, item)
        {
            wire_add_key(w, key);
            sample_put(w, item);
        }
        break;
    case JSON_ARRAY:
        wire_add_array(w, json_array_size(v));
        json_array_foreach(v, i, item) sample_put(w, item);
        break;
    case JSON_STRING: {
        const char *s = json_string_value(v);
        if (strncmp(s, "bin:", 4) == 0)
            wire_add_bin(w, s + 4, json_string_length(v) - 4);
        else
            wire_add_strn(w, s, json_string_length(v));
        break;
    }
    case JSON_INTEGER: {
        json_int_t n = json_integer_value(v);
        if (n >= 0)
            wire_add_u64(w, (uint64_t)n);
        else
            wire_add_i64(w, n);
        break;
    }
    case JSON_REAL: wire_add_f64(w, json_real_value(v)); break;
    case JSON_TRUE:
    case JSON_FALSE: wire_add_bool(w, json_is_true(v)); break;
    case JSON_NULL: wire_add_nil(w); break;
    }
}

/* JSON with ' for ", as a printf format. *out is initialised. */
__attribute__((format(printf, 2, 3))) static inline void sample_bytes(struct buf *out,
                                                                      const char *fmt, ...)
{
    static char text[256 * 1024];
    json_error_t e;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    must(n > 0 && (size_t)n < sizeof text);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json_t *v = json_loads(text, JSON_ALLOW_NUL, &e);
    if (v == NULL) {
        fprintf(stderr, "sample: %s at %d of %s\n", e.text, e.position, text);
        abort();
    }
    struct wire_out w;
    buf_init(out, 1 << 20);
    wire_out_init(&w, out);
    sample_put(&w, v);
    must(wire_out_end(&w) == RC_OK);
    json_decref(v);
}

#endif
