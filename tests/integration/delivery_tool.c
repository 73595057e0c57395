/* Prints the command lines of controller/remote/script, so that a test runs exactly what sshd would
 * be given.
 *
 *     delivery_tool probe  MODE NONCE ARCH SHA256 LEN [REFUSED [TEMPORARY PLACE [DIR...]]]
 *     delivery_tool upload MODE NONCE ARCH SHA256 LEN PLACE [DIR...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/remote/script.h"

static enum remote_mode mode_of(const char *s)
{
    static const char *const names[] = {"cached", "temporary", "installed", "never"};
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0)
            return (enum remote_mode)i;
    fprintf(stderr, "no mode %s\n", s);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc < 7 || strlen(argv[3]) != AGENT_NONCE_HEX) {
        fprintf(stderr, "usage: delivery_tool probe|upload MODE NONCE ARCH SHA256 LEN ...\n");
        return 1;
    }
    bool upload = strcmp(argv[1], "upload") == 0;
    struct remote_blob blob = {argv[4], 0, argv[5], strtoull(argv[6], NULL, 10)};
    struct script_spec s = {
        .mode = mode_of(argv[2]), .blobs = &blob, .blob_count = 1, .idle_ms = 45000, .refused = ""};
    memcpy(s.nonce, argv[3], sizeof s.nonce);
    int dirs = upload ? 8 : 10;
    if (!upload && argc > 7)
        s.refused = argv[7];
    if (!upload && argc > 9 && strlen(argv[8]) == AGENT_NONCE_HEX) {
        memcpy(s.temporary, argv[8], sizeof s.temporary);
        s.temporary_place = argv[9][0];
    }
    if (argc > dirs) {
        s.dirs = (const char *const *)argv + dirs;
        s.dir_count = (size_t)(argc - dirs);
    }
    struct buf out;
    struct err e = {0};
    buf_init(&out, 2 * SCRIPT_MAX);
    enum rc rc = upload ? argc < 8 ? RC_USAGE : script_upload(&out, &s, argv[7][0], &blob, &e)
                        : script_probe(&out, &s, &e);
    if (rc != RC_OK) {
        fprintf(stderr, "delivery_tool: %s\n", e.msg);
        return 1;
    }
    fwrite(out.data, 1, out.len, stdout);
    buf_fini(&out);
    return 0;
}
