/* See files.h. */
#include "tests/sim/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "tests/sim/keys.h"

enum { ADDRESS = 16 };

struct job {
    const struct options *o;
    const struct plan *p;
    uint16_t port;
};

typedef enum rc (*writer_fn)(FILE *f, const struct job *j, struct err *e);

static char *address(char *dst, const struct job *j, uint32_t host)
{
    uint32_t a = j->p->first + host;
    snprintf(dst, ADDRESS, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    return dst;
}

static enum rc write_inventory(FILE *f, const struct job *j, struct err *e)
{
    char ip[ADDRESS];
    fprintf(f, "all:\n  vars:\n    ansible_port: %u\n    ansible_user: \"%s\"\n", j->port,
            j->o->user);
    if (j->o->user_key != NULL) {
        struct buf quoted;
        char *path = realpath(j->o->user_key, NULL);
        if (path == NULL)
            return err_sys(e, errno, "%s", j->o->user_key);
        buf_init(&quoted, 64 * 1024);
        enum rc rc = str_json_cstr(&quoted, path);
        free(path);
        if (rc == RC_OK)
            fprintf(f, "    ansible_ssh_private_key_file: %.*s\n", (int)quoted.len, quoted.data);
        buf_fini(&quoted);
        if (rc != RC_OK)
            return err_nomem(e);
    }
    fprintf(f, "  children:\n    %s:\n      hosts:\n", j->o->prefix);
    for (uint32_t i = 0; i < j->p->hosts; i++)
        fprintf(f, "        %s%u: {ansible_host: %s}\n", j->o->prefix, i + 1, address(ip, j, i));
    return RC_OK;
}

static enum rc write_known_hosts(FILE *f, const struct job *j, struct err *e)
{
    char ip[ADDRESS];
    uint32_t keys = j->o->host_keys;
    struct buf key;
    enum rc rc = RC_OK;
    buf_init(&key, 1024);
    for (uint32_t k = 0; rc == RC_OK && k < keys && k < j->p->hosts; k++) {
        buf_reset(&key);
        rc = key_public(&key, j->o->seed, k, e);
        for (uint32_t i = k; rc == RC_OK && i < j->p->hosts; i += keys)
            fprintf(f, j->port == 22 ? "%s " : "[%s]:%u ", address(ip, j, i), j->port),
                fprintf(f, "%.*s\n", (int)key.len, key.data);
    }
    buf_fini(&key);
    return rc;
}

static enum rc write_expect(FILE *f, const struct job *j, struct err *e)
{
    (void)e;
    for (uint32_t i = 0; i < j->p->hosts; i++) {
        enum fault fault = (enum fault)j->p->faults[i];
        struct expectation x = fault_expects(fault);
        fprintf(f, "%s\n  \"%s%u\": {\"fault\": \"%s\", \"status\": \"%s\", \"phase\": \"%s\", ",
                i == 0 ? "{" : ",", j->o->prefix, i + 1, fault_name(fault), x.status, x.phase);
        if (x.problem[0] == '\0')
            fprintf(f, "\"problem\": null}");
        else
            fprintf(f, "\"problem\": \"%s\"}", x.problem);
    }
    fprintf(f, "\n}\n");
    return RC_OK;
}

static enum rc write_targets(FILE *f, const struct job *j, struct err *e)
{
    char ip[ADDRESS];
    (void)e;
    for (uint32_t i = 0; i < j->p->hosts; i++)
        fprintf(f, "%s:%u\n", address(ip, j, i), j->port);
    return RC_OK;
}

static enum rc write_user_key(FILE *f, const struct job *j, struct err *e)
{
    struct buf key;
    buf_init(&key, 4096);
    enum rc rc = key_private(&key, j->o->seed, KEY_USER, e);
    if (rc == RC_OK)
        fwrite(key.data, 1, key.len, f);
    buf_wipe(&key);
    return rc;
}

static enum rc write_file(const char *path, mode_t mode, writer_fn writer, const struct job *j,
                          struct err *e)
{
    if (path == NULL)
        return RC_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        int sys = errno;
        if (fd >= 0)
            close(fd);
        return err_sys(e, sys, "%s", path);
    }
    enum rc rc = fchmod(fd, mode) == 0 ? writer(f, j, e) : err_sys(e, errno, "%s", path);
    bool failed = ferror(f) != 0;
    if ((fclose(f) != 0 || failed) && rc == RC_OK)
        rc = err_sys(e, errno, "%s", path);
    return rc;
}

enum rc files_write(const struct options *o, const struct plan *p, uint16_t port, struct err *e)
{
    const struct job j = {o, p, port};
    enum rc rc = write_file(o->user_key, 0600, write_user_key, &j, e);
    if (rc == RC_OK)
        rc = write_file(o->inventory, 0644, write_inventory, &j, e);
    if (rc == RC_OK)
        rc = write_file(o->known_hosts, 0644, write_known_hosts, &j, e);
    if (rc == RC_OK)
        rc = write_file(o->targets, 0644, write_targets, &j, e);
    return rc == RC_OK ? write_file(o->expect, 0644, write_expect, &j, e) : rc;
}
