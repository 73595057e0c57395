/* Runs each file named on the command line, or each file of a folder named there,
 * through the fuzz target once: the corpus as a regression test without libFuzzer.
 * Fails when it was given no file at all, so that a lost corpus is noticed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return 0;
    uint8_t *data = malloc(1 << 22);
    if (data == NULL) {
        fclose(f);
        return 0;
    }
    size_t n = fread(data, 1, 1 << 22, f);
    fclose(f);
    /* An exact-size copy: a read past the end is then seen by ASan. */
    uint8_t *exact = malloc(n ? n : 1);
    if (exact != NULL) {
        for (size_t i = 0; i < n; i++)
            exact[i] = data[i];
        LLVMFuzzerTestOneInput(exact, n);
    }
    free(exact);
    free(data);
    return 1;
}

static int replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    DIR *d = opendir(path);
    if (d == NULL)
        return 0;
    int ran = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        ran += replay_path(full);
    }
    closedir(d);
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++)
        ran += replay_path(argv[i]);
    printf("%d inputs\n", ran);
    return ran > 0 ? 0 : 1;
}
