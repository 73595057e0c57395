/* Shows what the inventory loader makes of some sources, for the tests that compare it with
 * Ansible: inv_dump [--graph [GROUP] | --graph-vars [GROUP] | --hosts GROUP] SOURCE... Prints the
 * document of --list unless asked for something else; exit status 1 and a message on standard error
 * when the inventory is refused. With "--batch" it reads one command line a line from standard
 * input (words separated by tabs) and answers each with "OK BYTES\n" or "ERR BYTES\n" and that many
 * bytes.
 */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "inventory/inventory.h"

enum { MAX_WORDS = 64, MAX_OUTPUT = 1024 * 1024 * 1024 };

static enum rc show_hosts(struct inventory *inv, const char *name, struct buf *out, struct err *e)
{
    struct inv_group *g = inventory_group_find(inv, name);
    struct inv_host *const *hosts;
    size_t n;
    if (g == NULL)
        return err_set(e, RC_NOTFOUND, "no group '%s'", name);
    enum rc rc = inventory_group_hosts(inv, g, &hosts, &n, e);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = buf_printf(out, "%s\n", hosts[i]->name);
    return rc;
}

static enum rc show(struct inventory *inv, const char *what, const char *group, struct buf *out,
                    struct err *e)
{
    if (strcmp(what, "--hosts") == 0)
        return show_hosts(inv, group, out, e);
    if (strncmp(what, "--graph", 7) == 0)
        return inventory_graph(inv, group, strcmp(what, "--graph-vars") == 0, out, e);
    return inventory_json(inv, out, e);
}

static enum rc answer(char **words, int count, struct buf *out, struct err *e)
{
    const char *what = "--list", *group = "all";
    int first = 0;
    if (count > 0 && strncmp(words[0], "--", 2) == 0) {
        what = words[0];
        group = count > 1 && what[2] != 'l' ? words[1] : "all";
        first = what[2] != 'l' ? 2 : 1;
    }
    struct inventory *inv;
    enum rc rc = inventory_new(&inv, e);
    for (int i = first; rc == RC_OK && i < count; i++)
        rc = inventory_add_source(inv, words[i], e);
    if (rc == RC_OK)
        rc = inventory_finish(inv, e);
    if (rc == RC_OK)
        rc = show(inv, what, group, out, e);
    inventory_free(inv);
    return rc;
}

static int batch(void)
{
    static char line[64 * 1024];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *words[MAX_WORDS], *rest = line, *word;
        int count = 0;
        line[strcspn(line, "\n")] = '\0';
        while (count < MAX_WORDS && (word = strsep(&rest, "\t")) != NULL)
            words[count++] = word;
        struct buf out;
        struct err e = {0};
        buf_init(&out, MAX_OUTPUT);
        enum rc rc = answer(words, count, &out, &e);
        if (rc == RC_OK)
            printf("OK %zu\n", out.len);
        else
            printf("ERR %zu\n", strlen(e.msg));
        fwrite(rc == RC_OK ? (const char *)out.data : e.msg, 1,
               rc == RC_OK ? out.len : strlen(e.msg), stdout);
        fflush(stdout);
        buf_fini(&out);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--batch") == 0)
        return batch();
    struct buf out;
    struct err e = {0};
    buf_init(&out, MAX_OUTPUT);
    enum rc rc = answer(argv + 1, argc - 1, &out, &e);
    if (rc == RC_OK)
        fwrite(out.data, 1, out.len, stdout);
    else
        fprintf(stderr, "inv_dump: %s: %s\n", rc_name(rc), e.msg);
    buf_fini(&out);
    return rc != RC_OK;
}
