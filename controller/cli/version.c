/* --version: ours and the libraries'. See options.h. */
#include "controller/cli/options.h"

#include <jansson.h>
#include <msgpack.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <uv.h>
#include <yaml.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum rc options_version(struct buf *out)
{
    char pcre[64] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    return buf_printf(out,
                      "muster %s\nlibuv %s, libsodium %s, %s, msgpack-c %s, libyaml %s, "
                      "jansson %s, pcre2 %s\n",
                      MUSTER_VERSION, uv_version_string(), sodium_version_string(),
                      OpenSSL_version(OPENSSL_VERSION), msgpack_version(),
                      yaml_get_version_string(), jansson_version_str(), pcre);
}
