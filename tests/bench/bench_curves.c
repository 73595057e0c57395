/* What a client's Curve25519 costs for one connection, as libssh 0.10.6 does it through libcrypto:
 * a key pair of X25519, out as raw bytes and in again, the shared secret, the host key's signature
 * verified, a login signed with a raw key. By libcrypto itself, and by controller/ssh/curves.h, in
 * turns. Prints medians and the ratio; gates on nothing.
 *
 *     bench_curves [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "controller/ssh/curves.h"

enum { KEY = 32, SIGNATURE = 64, SIGNED = 200, EACH = 50, ROUNDS_MAX = 1000 };

enum step { GENERATE, DERIVE, VERIFY, SIGN, STEPS };

static const char *const names[STEPS] = {"a key pair, out as bytes", "in again, and the secret",
                                         "the host key's signature", "the login's signature"};

struct given {
    unsigned char login[KEY], host[KEY], signature[SIGNATURE], message[SIGNED];
};

static double cpu_us(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void sign(const char *who, const unsigned char secret[KEY], const unsigned char *p, size_t n,
                 unsigned char sig[SIGNATURE])
{
    size_t len = SIGNATURE;
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", who, secret, KEY);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestSignInit_ex(c, NULL, NULL, NULL, who, k, NULL) == 1);
    must(EVP_DigestSign(c, sig, &len, p, n) == 1 && len == SIGNATURE);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
}

static void verify(const char *who, const struct given *g)
{
    EVP_PKEY *k = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", who, g->host, KEY);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestVerifyInit_ex(c, NULL, NULL, NULL, who, k, NULL) == 1);
    must(EVP_DigestVerify(c, g->signature, SIGNATURE, g->message, SIGNED) == 1);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
}

static void generate(const char *who, unsigned char secret[KEY], unsigned char public[KEY])
{
    size_t n = KEY, m = KEY;
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, who, "X25519");
    must(EVP_PKEY_get_raw_private_key(k, secret, &n) == 1 &&
         EVP_PKEY_get_raw_public_key(k, public, &m) == 1);
    EVP_PKEY_free(k);
}

static void derive(const char *who, const unsigned char secret[KEY], const unsigned char peer[KEY])
{
    unsigned char shared[KEY];
    size_t len = KEY;
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", who, secret, KEY);
    EVP_PKEY *p = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", who, peer, KEY);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k, who);
    must(EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, p) == 1 &&
         EVP_PKEY_derive(c, shared, &len) == 1);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(p);
    EVP_PKEY_free(k);
}

/* Adds microseconds of CPU for each step. */
static void connections(const char *who, const struct given *g, double us[STEPS])
{
    unsigned char secret[KEY], public[KEY], sig[SIGNATURE];
    for (int i = 0; i < EACH; i++) {
        double at[STEPS + 1];
        at[GENERATE] = cpu_us();
        generate(who, secret, public);
        at[DERIVE] = cpu_us();
        derive(who, secret, public);
        at[VERIFY] = cpu_us();
        verify(who, g);
        at[SIGN] = cpu_us();
        sign(who, g->login, g->message, SIGNED, sig);
        at[STEPS] = cpu_us();
        for (int s = 0; s < STEPS; s++)
            us[s] += (at[s + 1] - at[s]) / EACH;
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_size);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    static const char *const who[2] = {"provider=default", "provider=" CURVES_PROVIDER};
    static double us[2][STEPS][ROUNDS_MAX];
    struct given g = {.message = {1}};
    int rounds = argc > 1 ? atoi(argv[1]) : 40;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (!curves_load()) {
        fprintf(stderr, "bench_curves: openssl.cnf chooses the implementations here\n");
        return 1;
    }
    EVP_PKEY *host = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    size_t n = KEY, m = KEY;
    must(EVP_PKEY_get_raw_private_key(host, g.login, &n) == 1 &&
         EVP_PKEY_get_raw_public_key(host, g.host, &m) == 1);
    EVP_PKEY_free(host);
    sign(who[0], g.login, g.message, SIGNED, g.signature);
    for (int i = 0; i < rounds; i++)
        for (int w = 0; w < 2; w++) {
            double once[STEPS] = {0};
            connections(who[w], &g, once);
            for (int s = 0; s < STEPS; s++)
                us[w][s][i] = once[s];
        }
    double all[2] = {0};
    printf("%-28s %10s %10s\n", "CPU for one connection", "libcrypto", "libsodium");
    for (int s = 0; s < STEPS; s++) {
        double a = median(us[0][s], rounds), b = median(us[1][s], rounds);
        printf("%-28s %7.1f us %7.1f us\n", names[s], a, b);
        all[0] += a;
        all[1] += b;
    }
    printf("%-28s %7.1f us %7.1f us, %.2f of it\n", "together", all[0], all[1], all[1] / all[0]);
    return 0;
}
