/* ssh_config from any bytes: loading and asking must end, and asking twice gives the same. */
#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "controller/sshconfig/sshconfig.h"
#include "controller/sshconfig/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *no_variable(const char *name)
{
    return name[0] == 'H' ? "home" : NULL;
}

static void expand(const char *text, const struct sshconfig_answer *a)
{
    struct sshtokens t = {.original = "web1",
                          .hostname = a->hostname,
                          .user = "me",
                          .local_user = "me",
                          .local_host = "here.example.com",
                          .home = "/nowhere",
                          .port = 22,
                          .env_get = no_variable};
    struct buf out;
    buf_init(&out, 4096);
    sshtokens_expand(&t, text, &out, NULL);
    must(out.len <= 4096);
    buf_fini(&out);
}

static void ask(struct sshconfig *c, const char *host, const char *user)
{
    static struct sshconfig_answer a, again;
    struct sshconfig_query q = {.host = host, .user = user, .local_user = "me"};
    enum rc rc = sshconfig_lookup(c, &q, &a, NULL);
    must(sshconfig_lookup(c, &q, &again, NULL) == rc);
    if (rc != RC_OK)
        return;
    must(a.identity_count == again.identity_count);
    must(strcmp(a.hostname, again.hostname) == 0);
    must(memcmp(a.where, again.where, sizeof a.where) == 0);
    for (size_t i = 0; i < a.identity_count; i++)
        expand(a.identities[i], &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sshconfig *c = NULL;
    size_t live = mem_live();
    must(sshconfig_new(&c, NULL) == RC_OK);
    /* /dev/null: an Include with a relative name finds nothing of this machine's. */
    enum rc rc = sshconfig_load_text(c, "fuzz", "/dev/null", (const char *)data, size, NULL);
    if (rc == RC_OK) {
        ask(c, "web1", NULL);
        ask(c, "a.example.com", "root");
        ask(c, "", NULL);
        ask(c, "%h", NULL);
    }
    sshconfig_free(c);
    must(mem_live() == live);
    return 0;
}
