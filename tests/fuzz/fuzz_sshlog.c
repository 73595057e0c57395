/* The log of OpenSSH's ssh from any bytes: an outcome comes of it, the same however it is cut. */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "controller/openssh/sshlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sshlog whole, cut;
    struct outcome a, b;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    sshlog_feed(&whole, data, size);
    for (size_t i = 0; i < size; i++)
        sshlog_feed(&cut, data + i, 1);
    for (int code = -1; code < 256; code += 128) {
        sshlog_conclude(&whole, code, code < 0 ? 9 : 0, &a);
        sshlog_conclude(&cut, code, code < 0 ? 9 : 0, &b);
        must(a.problem == b.problem && a.phase == b.phase && strcmp(a.detail, b.detail) == 0);
        must(a.sent == whole.sent);
        /* Only a server's word, after the command was sent, is success. */
        must(a.problem != PROBLEM_NONE || (whole.sent && whole.exited && code == 0));
    }
    must(sshlog_timeout(&whole) == sshlog_timeout(&cut));
    return 0;
}
