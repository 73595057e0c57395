/* known_hosts from any bytes: loading and asking must neither crash nor read out of bounds, and a
 * line the index took must answer for its own key. */
#include <stdint.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/mem.h"
#include "controller/hostkeys/hostkeys.h"
#include "controller/hostkeys/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const hosts[] = {"web1", "a.example.com", "2001:db8::1", "", "x,y", "*"};

/* Asks with the key of one line, as a server would present it, under its first name. */
static void ask_line(const struct hostkeys *hk, const char *text, size_t len, struct buf *blob)
{
    struct line_parts parts;
    if (line_parse(text, len, &parts, blob) != LINE_GOOD)
        return;
    const char *type = line_type_name(parts.type);
    struct hostkeys_answer a, quick;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        hostkeys_check(hk, hosts[i], i % 2 ? 22 : 2222, type, blob->data, blob->len, &a);
        if (hostkeys_check_quick(hk, hosts[i], i % 2 ? 22 : 2222, type, blob->data, blob->len,
                                 &quick))
            must(quick.verdict == a.verdict);
    }
    /* One that is good until some time may have expired. */
    if (parts.marker != LINE_PLAIN || parts.hashed || parts.until != 0 ||
        !line_list_is_plain(parts.hosts, parts.hosts_len))
        return;
    char name[HOSTKEYS_MAX_NAME + 1];
    const char *comma = memchr(parts.hosts, ',', parts.hosts_len);
    size_t n = comma ? (size_t)(comma - parts.hosts) : parts.hosts_len;
    if (n == 0 || n > HOSTKEYS_MAX_NAME)
        return;
    memcpy(name, parts.hosts, n);
    name[n] = '\0';
    hostkeys_check(hk, name, 22, type, blob->data, blob->len, &a);
    must(a.verdict == HOSTKEYS_MATCH || a.verdict == HOSTKEYS_REVOKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    /* The same bytes as a key, in a buffer without slack: a read past its end is seen. */
    (void)line_blob_type(data, size);
    struct hostkeys *hk = NULL;
    size_t live = mem_live();
    if (hostkeys_new(&hk, NULL) != RC_OK)
        return 0;
    struct buf blob;
    buf_init(&blob, HOSTKEYS_MAX_BLOB);
    must(hostkeys_load_text(hk, "fuzz", text, size, NULL) == RC_OK);
    size_t asked = 0;
    for (size_t at = 0; at < size && asked < 16; asked++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t n = newline ? (size_t)(newline - text) - at : size - at;
        ask_line(hk, text + at, n, &blob);
        at += n + 1;
    }
    char types[256];
    hostkeys_types(hk, "web1", 22, types, sizeof types);
    buf_fini(&blob);
    hostkeys_free(hk);
    must(mem_live() == live);
    return 0;
}
